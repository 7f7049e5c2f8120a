"""What people call: pictures, videos, everything in a picture."""
