using System.Numerics;
using System.Text.Json;
using Chatterbox.Tests.Parity;

namespace Chatterbox.Tests.Audio;

/// <summary>What libsoxr, scipy and pyloudnorm made of signals computed here too; see tests/fixtures/signal/record.py.</summary>
internal static class SignalReference
{
    private static readonly JsonDocument Recorded = JsonDocument.Parse(
        File.ReadAllText(Path.Combine(Fixtures.Root, "signal", "reference.json"))
    );

    public sealed record Row(int From, int To, int Length, float[] Head, float[] Middle, float[] Tail);

    public static int Samples => Recorded.RootElement.GetProperty("samples").GetInt32();

    public static Row[] Rows(string resampler) =>
        Recorded.RootElement.GetProperty(resampler).Deserialize<Row[]>(JsonSerializerOptions.Web)!;

    public static JsonElement.ArrayEnumerator Loudness => Recorded.RootElement.GetProperty("loudness").EnumerateArray();

    /// <summary>Whether soxr HQ converts with a single filter, as ours does: then nothing but rounding differs.</summary>
    public static bool SoxrHasOneFilter(int from, int to)
    {
        var divisor = (int)BigInteger.GreatestCommonDivisor(from, to);
        return Math.Max(from, to) / divisor <= 4 && from < 4 * to;
    }

    /// <summary>White noise in [-0.5, 0.5).</summary>
    public static float[] Noise(int samples)
    {
        var noise = new float[samples];
        var state = 1u;
        for (var i = 0; i < samples; i++)
        {
            state = unchecked(1664525 * state + 1013904223);
            noise[i] = (float)(state / 4294967296.0 - 0.5);
        }

        return noise;
    }

    /// <summary>Low noise, loud and quiet by turns of 4000 samples.</summary>
    public static float[] Bursts(int samples)
    {
        var noise = Noise(samples);
        var bursts = new float[samples];
        for (var i = 0; i < samples; i++)
        {
            var sum = noise[Math.Max(0, i - 7)..(i + 1)].Sum(x => (double)x);
            bursts[i] = (float)(sum * (i / 4000 % 3 == 1 ? 0.02 : 0.2));
        }

        return bursts;
    }
}
