using System.Numerics;

namespace Chatterbox.Audio;

/// <summary>The two logarithmic codes of telephony: eight bits a sample. Source: ITU-T G.711.</summary>
internal static class G711
{
    private const int MuLawBias = 33 << 2; // in steps of 16-bit PCM, of which G.711 has 14 bits
    private const int MuLawClip = 32_635;

    /// <summary>A sample of 16-bit PCM in μ-law.</summary>
    public static byte ToMuLaw(short sample)
    {
        var magnitude = Math.Min(Math.Abs((int)sample), MuLawClip) + MuLawBias;
        var segment = BitOperations.Log2((uint)magnitude) - 7;
        var code = (segment << 4) | ((magnitude >> (segment + 3)) & 15);
        return (byte)~(code | (sample < 0 ? 0x80 : 0));
    }

    /// <summary>The sample of 16-bit PCM of a code of μ-law.</summary>
    public static short FromMuLaw(byte code)
    {
        var bits = (byte)~code;
        var magnitude = ((((bits & 15) << 3) + MuLawBias) << ((bits >> 4) & 7)) - MuLawBias;
        return (short)((bits & 0x80) != 0 ? -magnitude : magnitude);
    }

    /// <summary>A sample of 16-bit PCM in A-law.</summary>
    public static byte ToALaw(short sample)
    {
        // One's complement below zero: G.711 has no zero, so that -1 lies next to 0.
        var magnitude = (sample < 0 ? ~sample : sample) >> 4;
        var segment = magnitude < 16 ? 0 : BitOperations.Log2((uint)magnitude) - 3;
        var code = (segment << 4) | ((magnitude >> Math.Max(0, segment - 1)) & 15);
        return (byte)((code | (sample < 0 ? 0 : 0x80)) ^ 0x55);
    }

    /// <summary>The sample of 16-bit PCM of a code of A-law.</summary>
    public static short FromALaw(byte code)
    {
        var bits = code ^ 0x55;
        var (segment, step) = ((bits >> 4) & 7, bits & 15);
        var magnitude = segment == 0 ? (step << 4) + 8 : ((step << 4) + 0x108) << (segment - 1);
        return (short)((bits & 0x80) != 0 ? magnitude : -magnitude);
    }
}
