import pytest

from vrmatte.interpreter import check_interpreter, interpreter_fault


def test_this_python_is_accepted():
    check_interpreter()


def test_a_32_bit_python_is_refused():
    fault = interpreter_fault(32, "C:\\Python311-32")
    assert fault is not None
    assert fault.startswith("this Python is a 32-bit build")


@pytest.mark.parametrize(
    ("prefix", "refused"),
    [
        (
            "C:\\Program Files\\WindowsApps\\"
            "PythonSoftwareFoundation.Python.3.11_3.11.2544.0_x64__qbz5n2kfra8p0",
            True,
        ),
        ("C:\\Users\\me\\AppData\\Local\\Programs\\Python\\Python311", False),
        # The newer Python install manager comes from the Store, but installs outside its sandbox.
        ("C:\\Users\\me\\AppData\\Local\\Python\\pythoncore-3.13-64", False),
        ("/usr", False),
    ],
)
def test_the_microsoft_stores_python_is_refused(prefix, refused):
    fault = interpreter_fault(64, prefix)
    assert (fault is not None) == refused
    assert fault is None or "Microsoft Store" in fault
