"""Work for many machines: jobs on Ray, and training in processes that torchrun starts."""
