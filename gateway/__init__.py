"""The SFTP front door: what an ERP uploads becomes a whole object in the bucket, or nothing."""
