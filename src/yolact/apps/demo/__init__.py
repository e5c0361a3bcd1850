"""The page of `yolact demo`: photographs and videos in, masks and what they are made of out."""
