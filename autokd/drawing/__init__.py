"""The architecture of a student: as a graph with figures, and as a picture.

    tracing   a network → its operations, watched while it runs on the `meta` device
    words     what an operation is called
    graph     a candidate → its graph as JSON data
    layout    a graph → where its nodes and edges lie; needs no torch
    svg       a graph → a picture; needs no torch

Nothing is imported here, so that whoever only draws does not load torch.
"""
