"""The n-gram baseline: ids of a training and a validation text enter, the loss that n-gram counts reach leaves."""
