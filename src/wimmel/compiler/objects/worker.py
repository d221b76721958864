"""A process that turns LLVM IR into machine code, one module after another, and ends with its standard input.

It is run by its path and imports nothing of ours: `workers` starts it and speaks with it. LLVM's options belong to a
whole process, which is why code is not generated in the user's: Numba and others share LLVM with us there.

    request = <what: 1 byte> <length of each of triple, features, text: u64> triple features text
    answer  = <status: 1 byte> <length: u64> content

The first answer comes unasked: ``ready``, or why LLVM cannot be had.
"""

import os
import struct
import sys

OBJECT, ASSEMBLY = b"o", b"a"
READY, DONE, REFUSED = b"r", b"d", b"x"
REQUEST = struct.Struct("<c3Q")
ANSWER = struct.Struct("<cQ")

OPTIONS = ("-enable-misched=false",)
"""The machine scheduler moves loads away from the multiply-adds that use them, and vectors get spilled to the stack."""


def main(folder: str) -> None:
    """Serves until the standard input ends. The folder is where llvmlite is."""
    requests = os.fdopen(0, "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else may print must not end up between the answers

    def answer(status: bytes, content: bytes) -> None:
        answers.write(ANSWER.pack(status, len(content)) + content)
        answers.flush()

    sys.path.append(folder)
    try:
        import llvmlite.binding as llvm  # type: ignore[import-untyped]

        for option in OPTIONS:
            llvm.set_option("wimmel", option)
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
    except Exception as error:
        answer(REFUSED, f"{type(error).__name__}: {error}".encode())
        return
    answer(READY, b"")

    machines: dict[tuple[str, str], llvm.TargetMachine] = {}
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        what, *lengths = REQUEST.unpack(head)
        triple, features, text = (requests.read(length).decode() for length in lengths)
        try:
            module = llvm.parse_assembly(text)
            module.verify()
            machine = machines.get((triple, features))
            if machine is None:
                # position-independent and small: code and its constants are loaded side by side, wherever that is
                machine = llvm.Target.from_triple(triple).create_target_machine(
                    features=features, opt=1, reloc="pic", codemodel="small"
                )
                machines[triple, features] = machine
            emitted = machine.emit_object(module) if what == OBJECT else machine.emit_assembly(module).encode()
        except Exception as error:
            answer(REFUSED, str(error).encode())
            continue
        answer(DONE, emitted)


if __name__ == "__main__":
    main(sys.argv[1])
