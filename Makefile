.PHONY: test-full

test-full:  ## the long tier of the fault-injection harness, about ten minutes
	OPENBLAS_NUM_THREADS=1 python -m pytest -m full tests/reliability
