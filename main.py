"""Nothing. gcloud deploys a Python folder only if it has a file of this name.

Each function is built from `functions/NAME.py`, so `.gcloudignore` leaves this file out.
"""
