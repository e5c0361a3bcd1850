"""From raw output to detections, in tensors of static shape: the same lines run eagerly, compiled and exported."""
