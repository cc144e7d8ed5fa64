"""A made-up VR180 clip whose mattes are known exactly: for `vrmatte demo` and for the tests."""
