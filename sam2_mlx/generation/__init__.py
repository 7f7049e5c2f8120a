"""What segmenting everything is made of: a picture's decoder, and the masks found so far."""
