"""Logins by PLAIN as no client writes them: bytes for one stream, by name. Each is made of the message of a user and of
the message of somebody else.
"""

from .sasl import SASL, SASL2, b64


def auth(message, mechanism="PLAIN"):
    return f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{message}</auth>"


def authenticate(*parts):
    return f"<authenticate xmlns='{SASL2}' mechanism='PLAIN'>{''.join(parts)}</authenticate>"


def initial(message):
    return f"<initial-response>{message}</initial-response>"


def response(message, namespace=SASL):
    return f"<response xmlns='{namespace}'>{message}</response>"


SCRAM_OF_ANOTHER = auth(b64("n,,n=admin,r=abcdefgh"), "SCRAM-SHA-1")
ODD_LOGINS = {
    "cdata": lambda m, _: auth(f"<![CDATA[{m}]]>"),
    "entities": lambda m, _: auth("".join(f"&#{ord(c)};" for c in m)),
    "half_cdata": lambda m, _: auth(f"{m[:7]}<![CDATA[{m[7:]}]]>"),
    "spaces": lambda m, _: auth(f"\n {m}\t"),
    "spaces_inside": lambda m, _: auth(f"{m[:8]}\n{m[8:]}"),
    "too_much_padding": lambda m, _: auth(f"{m}===="),
    "two_messages": lambda m, other: auth(f"{other}{m}"),
    "no_initial_message": lambda m, _: auth("") + response(m),
    "empty_initial_message": lambda m, _: auth("=") + response(m),
    "response_first": lambda m, _: response(m) + auth(m),
    "another_began": lambda m, _: SCRAM_OF_ANOTHER + auth(m),
    "another_went_on": lambda m, _: SCRAM_OF_ANOTHER + response(m),
    "aborted_before": lambda m, _: SCRAM_OF_ANOTHER + f"<abort xmlns='{SASL}'/>" + auth(m),
    "after_another": lambda m, other: auth(other) + auth(m),
    "sasl2": lambda m, _: authenticate(initial(m)),
    "sasl2_twice": lambda m, other: authenticate(initial(other), initial(m)),
    "sasl2_twice_first": lambda m, other: authenticate(initial(m), initial(other)),
    "sasl2_element": lambda m, _: authenticate(initial(f"{m}<x xmlns='a'/>")),
    "sasl2_element_before": lambda m, _: authenticate(initial(f"<x xmlns='a'/>{m}")),
    "sasl2_foreign_child": lambda m, other: authenticate(
        f"<initial-response xmlns='a'>{other}</initial-response>", initial(m)
    ),
    "sasl2_later": lambda m, _: authenticate() + response(m, SASL2),
    "sasl2_mixed": lambda m, _: authenticate() + response(m),
    "sasl_mixed": lambda m, _: auth("") + response(m, SASL2),
    "sasl2_after_another": lambda m, other: authenticate(initial(other)) + authenticate(initial(m)),
}
