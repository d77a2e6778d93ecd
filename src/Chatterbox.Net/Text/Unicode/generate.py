"""Writes unicode.txt, the tables that UnicodeTables reads. usage: python3.13 generate.py > unicode.txt

D  code point and its full compatibility decomposition (NFKD); Hangul syllables are left out, being arithmetic
C  first and last code point of a run of one canonical combining class, and the class in decimal
U  lower-case code point whose upper case .NET does not give, being several code points or an ASCII letter, and that upper case
P  two code points and the one that canonical composition makes of them; Hangul syllables are left out
"""
import unicodedata
from itertools import groupby

def points(text):
    return " ".join(f"{ord(c):04X}" for c in text)

characters = [chr(i) for i in range(0x110000) if not 0xD800 <= i < 0xE000]
print(f"# Unicode {unicodedata.unidata_version}, made by generate.py. (c) Unicode, Inc., Unicode License v3: https://www.unicode.org/license.txt")
for c in characters:
    decomposed = unicodedata.normalize("NFKD", c)
    if decomposed != c and not 0xAC00 <= ord(c) <= 0xD7A3:
        print("D", points(c), points(decomposed))
for kind, run in groupby(enumerate(characters), lambda x: unicodedata.combining(x[1])):
    if kind:
        run = [c for _, c in run]
        print("C", points(run[0]), points(run[-1]), kind)
for c in characters:
    if c.islower() and (len(c.upper()) > 1 or (not c.isascii() and c.upper().isascii())):
        print("U", points(c), points(c.upper()))
for c in characters:
    parts = unicodedata.decomposition(c).split()
    if len(parts) == 2 and parts[0][0] != "<" and unicodedata.normalize("NFC", c) == c:
        print("P", *parts, points(c))
