"""`yolact serve`: photographs in over HTTP, instances out.

One process speaks HTTP and never touches a pixel; each model has a process of its own, which may die without taking
requests along.

    app.py         the addresses, and what they answer
    uploads.py     bodies, as far as limits allow
    dispatch.py    a model's queue, and which requests its process has at the moment
    process.py     that process, seen from outside: started, listened to, started again
    inference.py   what runs in it: decode, batch, compute, encode, at the same time
    running.py     the life of a server, from the first port to the last answer
"""
