using System.Security.Cryptography;
using System.Text;
using Chatterbox.Text;
using Chatterbox.Text.Unicode;

namespace Chatterbox.Tests.Text;

public class PythonTextTests
{
    [Fact]
    public void White_space_is_pythons() =>
        Assert.Equal(
            [9, 10, 11, 12, 13, 28, 29, 30, 31, 32, 133, 160, 5760, .. Enumerable.Range(8192, 11), 8232, 8233, 8239, 8287, 12288],
            Enumerable.Range(0, 0x10000).Where(c => PythonText.IsSpace((char)c))
        );

    [Fact]
    public void White_space_collapses_and_strips()
    {
        Assert.Equal("a b c", PythonText.CollapseSpaces("\u001C a\u0085\u001F\u00A0b\r\n\tc\u3000"));
        Assert.Equal("a  b", PythonText.Strip("\u001D\u3000a  b\u2028 "));
        Assert.Equal("", PythonText.Strip(" \u001E"));
        Assert.Equal("", PythonText.CollapseSpaces(" \u001E"));
    }

    [Theory]
    [InlineData("straße", "Straße"), InlineData("ßa", "SSa"), InlineData("ﬃx", "FFIx"), InlineData("ışık", "Işık"), InlineData("ſo", "So")]
    [
        InlineData("ŉx", "ʼNx"),
        InlineData("ᾳ", "ΑΙ"),
        InlineData("ΐ", "\u0399\u0308\u0301"),
        InlineData("և", "ԵՒ"),
        InlineData("𐐨x", "𐐀x"),
        InlineData("ⓐ", "Ⓐ")
    ]
    [InlineData("ǆ", "Ǆ"), InlineData("ǅ", "ǅ"), InlineData("ა", "Ა"), InlineData("ª", "ª"), InlineData("Éa", "Éa"), InlineData(" a", " a")]
    [InlineData("", ""), InlineData("你a", "你a")]
    public void First_letter_becomes_a_capital(string text, string expected) => Assert.Equal(expected, PythonText.UpperFirst(text));

    [Theory]
    [
        InlineData("İSTANBUL IŞIK ıi", "i̇stanbul işik ıi"),
        InlineData("ΟΔΥΣΣΕΥΣ, ΟΔΟΣ;", "οδυσσευς, οδος;"),
        InlineData("Σ", "σ"),
        InlineData("1Σ", "1σ")
    ]
    [
        InlineData("ΑΣ:Β ΑΣ.", "ασ:β ας."),
        InlineData("ΑΣ\u0301 ΑΣ\u0301Β", "ας\u0301 ασ\u0301β"),
        InlineData("ΑΣ' 'Σ", "ας' 'σ"),
        InlineData("ⓐΣ", "ⓐς")
    ]
    [InlineData("ΣΣ", "σς"), InlineData("𐐀", "𐐨"), InlineData("\u212A", "k"), InlineData("ẞ", "ß")]
    public void Lower_case_is_pythons(string text, string expected) => Assert.Equal(expected, PythonText.Lower(text));

    [Theory]
    [
        InlineData("é", "e\u0301"),
        InlineData("각가", "\u1100\u1161\u11A8\u1100\u1161"),
        InlineData("힣", "\u1112\u1175\u11C2"),
        InlineData("ﬁ½①", "fi1⁄21")
    ]
    [
        InlineData("ＡＢＣ，", "ABC,"),
        InlineData("ｶﾞ", "カ\u3099"),
        InlineData("が", "か\u3099"),
        InlineData("\uFA19", "神"),
        InlineData("\u00A8", " \u0308")
    ]
    [InlineData("e\u0301\u0323", "e\u0323\u0301"), InlineData("ệ", "e\u0323\u0302"), InlineData("\u0315\u0300\u05AE", "\u05AE\u0300\u0315")]
    [InlineData("q\u0307\u0301", "q\u0307\u0301"), InlineData("𝐇", "H"), InlineData("plain", "plain")]
    public void Compatibility_decomposition_is_pythons(string text, string expected) =>
        Assert.Equal(expected, UnicodeTables.Decompose(text));

    [Fact]
    public void A_lone_surrogate_does_no_harm()
    {
        Assert.Equal("\uD800a", PythonText.UpperFirst("\uD800a"));
        Assert.Equal("\uFFFDa", PythonText.Lower("\uD800A"));
        Assert.Equal("\uFFFDe\u0301", UnicodeTables.Decompose("\uDC00é"));
    }

    [Theory]
    [
        InlineData("e\u0301", "é"),
        InlineData("ﬁ½①ＡＢＣ", "fi1⁄21ABC"),
        InlineData("\u1100\u1161\u11A8", "각"),
        InlineData("가\u11A8", "각"),
        InlineData("\u212A", "K")
    ]
    [
        InlineData("e\u0323\u0302", "ệ"),
        InlineData("e\u0302\u0323", "ệ"),
        InlineData("a\u0315\u0301", "á\u0315"),
        InlineData("a\u0301\u0301", "á\u0301")
    ]
    [InlineData("\u0958", "\u0915\u093C"), InlineData("\u0301e", "\u0301e"), InlineData("plain", "plain"), InlineData("", "")]
    public void Composition_is_pythons(string text, string expected) => Assert.Equal(expected, UnicodeTables.Compose(text));

    [Fact]
    public void Every_character_of_the_basic_plane_composes_as_in_python()
    {
        // SHA-256 of NFKC(chr(c) + "\u0301\u0323") + "\n" in UTF-8: CPython 3.11, Unicode 14; without U+0ECE, which came later.
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (var c = 0; c < 0x10000; c++)
        {
            if (Rune.IsValid(c) && c != 0x0ECE)
            {
                hash.AppendData(Encoding.UTF8.GetBytes(UnicodeTables.Compose($"{(char)c}\u0301\u0323") + "\n"));
            }
        }

        Assert.Equal("95c8facb3274a1b5f9e24d1bcf729817de1614d7998b1ea1e9c2cf2a44f04cd1", Convert.ToHexStringLower(hash.GetHashAndReset()));
    }

    [Fact]
    public void Every_code_point_decomposes_as_in_python()
    {
        // SHA-256 of NFKD(chr(c)) + "\n" in UTF-8, over all code points but surrogates: CPython 3.13, Unicode 15.1.
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (var c = 0; c <= 0x10FFFF; c++)
        {
            if (Rune.IsValid(c))
            {
                hash.AppendData(Encoding.UTF8.GetBytes(UnicodeTables.Decompose(new Rune(c).ToString()) + "\n"));
            }
        }

        Assert.Equal("4f1276f64ad2915e28c8507ac0f1f56a3d0935e7369b926f9efb0d0cea66a913", Convert.ToHexStringLower(hash.GetHashAndReset()));
    }
}
