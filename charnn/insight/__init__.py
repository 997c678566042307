"""A trained model and a text enter; what the model knows, fears and forgets leaves, as arrays.

reading.py    text -> the model's states and logits at every character
texts.py      files, or the run's own text -> ids
kinds.py      ids -> what kind of character each is
score.py      surprise at every character, by line, by kind, and against another model or the n-gram baseline
index.py      the training text, sorted by what follows each place
passages.py   the longest passages that two texts share
copies.py     what of a text is copied from the training text
memory.py     loss as a function of how much context the model is given
properties.py ids -> what is true of the text at each character: inside quotes, position in the line, ...
neurons.py    which unit tells which property; how often gates are saturated
jacobians.py  the matrix by which one step multiplies the gradient
gradients.py  how far back through time a gradient reaches
compare.py    several cells at equal size and equal time
"""
