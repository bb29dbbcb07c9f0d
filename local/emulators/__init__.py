"""Local stand-ins for Firestore, Cloud Storage and Cloud Tasks."""
