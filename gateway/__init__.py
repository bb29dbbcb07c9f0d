"""SFTP gateway: an upload of an ERP becomes a complete object in the bucket, or nothing."""
