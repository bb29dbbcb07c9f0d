"""Local servers in place of Firestore, Cloud Storage and Cloud Tasks."""
