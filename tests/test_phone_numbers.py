"""Numbers in every form in which providers write them, and everything that only looks like one."""

import pytest

from sync.phone_numbers import WITHHELD, owned_number

OURS = "+12025550101"


@pytest.mark.parametrize(
    "text",
    [
        *(OURS, " +12025550101 ", "+1 202 555 0101", "+1 (202) 555-0101", "+1.202.555.0101", "+1-202/555 0101"),
        *("whatsapp:+12025550101", "WhatsApp: +1 202 555 0101", "tel:+1-202-555-0101", "tel:+12025550101;ext=7"),
        *(
            "\u202a+1\u00a0202\u2011555\u20110101\u202c",
            "\uff0b\uff11\uff12\uff10\uff12555\uff10\uff11\uff10\uff11",
        ),  # copied from a page; full width
    ],
)
@pytest.mark.parametrize("on_trunk", [False, True])
def test_a_number_with_a_plus_is_read_in_every_form(text: str, on_trunk: bool) -> None:
    assert owned_number(text, on_trunk=on_trunk) == OURS


ON_TRUNKS_ALONE = [
    *("sip:+12025550101@host", "sips:+12025550101@host", "SIP:+12025550101@HOST", "sip:12025550101@host"),
    *("sip:+12025550101@203.0.113.9:5060", "sip:+12025550101@[2001:db8::1]:5061", "sip:+12025550101"),
    *("sip:+12025550101@host;region=us1;transport=tcp", "sip:+12025550101@host:5060;transport=tls?a=b@c"),
    *("<sip:+12025550101@host>", '"Front desk" <sip:12025550101@host:5060>;tag=1', "Desk <sips:+12025550101@h;a=b>"),
    *("sip:%2B12025550101@host", "sip:+1-202-555-0101;phone-context=x@host", "sip:+12025550101:secret@host"),
    *(
        "+12025550101@host",
        "12025550101@host:5060",
        "sip:0012025550101@host",
        "tel:12025550101",
        "whatsapp:12025550101",
    ),
    *("12025550101", "1 202 555 0101", "1-202-555-0101", "1 (202) 555.0101", "0012025550101", "00 1 202 555 0101"),
]


@pytest.mark.parametrize("text", ON_TRUNKS_ALONE)
def test_on_a_trunk_addresses_and_digits_without_a_plus_are_numbers(text: str) -> None:
    assert owned_number(text, on_trunk=True) == OURS
    assert owned_number(text) is None


@pytest.mark.parametrize("on_trunk", [False, True])
def test_the_zero_that_is_left_out_after_a_country_code_is(on_trunk: bool) -> None:
    assert owned_number("+44 (0)20 7946 0123", on_trunk=on_trunk) == "+442079460123"
    assert owned_number("0044 (0)20 7946 0123", on_trunk=True) == "+442079460123"


@pytest.mark.parametrize("text", ["0612345678", "06 12 34 56 78", "sip:0612345678@host", "(061) 234-5678"])
def test_a_national_number_on_a_trunk_stays_as_it_is_to_be_listed_as_nobodys(text: str) -> None:
    assert owned_number(text, on_trunk=True) == "0612345678"
    assert owned_number(text) is None


@pytest.mark.parametrize("on_trunk", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        *(None, "", " ", "+", "()", "anonymous", "client:alice", "sim:DE1", "app:AP1", "AP" + "0" * 32),
        *("sip:alice@host", "sip:1001@pbx", "sip:203.0.113.9", "sip:203.0.113.9:5060", "alice@12025550101", "sip:@h"),
        *("123456", "sip:123456@host", "1" * 16, "+" + "1" * 16, "+0612345678", "0", "00", "000000000", "00612345"),
        *("+12025550101x", "x12025550101", "1202555010a", "+1202555\u0660\u0661\u0660\u0661", "mailto:+12025550101"),
        *("whatsapp:alice", "tel:", "<>", "<sip:>", "whatsapp:sip:+12025550101@host"),
    ],
)
def test_what_is_no_number_belongs_to_nobody(text: str | None, on_trunk: bool) -> None:
    assert owned_number(text, on_trunk=on_trunk) is None


@pytest.mark.parametrize("number", WITHHELD)
@pytest.mark.parametrize("form", ["{}", "sip:{}@host", "<sip:{}@host>", "whatsapp:{}", "tel:{}"])
def test_a_withheld_caller_belongs_to_nobody_in_every_form(number: str, form: str) -> None:
    for text in (form.format(number), form.format(number[1:]), form.format(f"00{number[1:]}")):
        assert owned_number(text, on_trunk=True) is None
        assert owned_number(text) is None
