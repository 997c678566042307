"""Events and figures enter; what rich draws leaves."""
