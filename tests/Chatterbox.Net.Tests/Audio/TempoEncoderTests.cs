using System.Buffers;
using System.Runtime.InteropServices;
using Chatterbox.Audio;

namespace Chatterbox.Tests.Audio;

public class TempoEncoderTests
{
    private const int Rate = SpeechResult.SampleRate;

    [Theory]
    [InlineData(0.25)]
    [InlineData(0.5)]
    [InlineData(0.8)]
    [InlineData(1.3)]
    [InlineData(2)]
    [InlineData(4)]
    public void The_length_changes_to_the_sample_and_the_pitch_stays(double tempo)
    {
        foreach (var hertz in new[] { 90, 220, 440 })
        {
            float[] tone = [.. Enumerable.Range(0, 60_001).Select(i => 0.5f * MathF.Sin(2 * MathF.PI * hertz * i / Rate))];
            var changed = Change(tone, tempo);
            Assert.Equal((int)Math.Round(60_001 / tempo), changed.Length);
            var middle = changed.AsSpan(changed.Length / 8, changed.Length * 3 / 4).ToArray();
            Assert.Equal(
                hertz,
                middle.Zip(middle.Skip(1)).Count(p => p.First < 0 && p.Second >= 0) * (double)Rate / middle.Length,
                hertz * 0.03
            );

            // Pieces of a tone that are joined where they fit leave its level as it was.
            Assert.InRange(Math.Sqrt(middle.Average(x => (double)x * x)), 0.33, 0.37);
        }
    }

    [Fact]
    public void Speech_keeps_its_level_and_its_words_their_places()
    {
        var clip = WavFile.Read(EncodedRecordings.Original("jfk_16k_mono.wav"));
        var speech = Resampler.Resample(clip.Samples.ToArray(), clip.SampleRate, Rate);
        foreach (var tempo in new[] { 0.6, 1.5 })
        {
            var changed = Change(speech, tempo);
            for (var part = 0.5; part < 10; part += 0.5)
            {
                var (before, after) = (Level(speech, part, 0.5), Level(changed, part / tempo, 0.5 / tempo));
                Assert.True(
                    Math.Abs(before - after) < 0.25 * Math.Max(before, 0.05),
                    $"at {part} s: {before:0.000}, at tempo {tempo}: {after:0.000}"
                );
            }
        }

        static double Level(float[] samples, double start, double seconds) =>
            Math.Sqrt(samples.Skip((int)(start * Rate)).Take((int)(seconds * Rate)).Average(x => (double)x * x));
    }

    [Fact]
    public void What_comes_out_is_at_most_50_milliseconds_behind()
    {
        foreach (var tempo in new[] { 0.25, 0.7, 1.5, 4 })
        {
            var output = new ArrayBufferWriter<byte>();
            using var encoder = new TempoEncoder(tempo, Rate, new FloatEncoder());
            for (var taken = 240; taken < 2 * Rate; taken += 240)
            {
                encoder.Encode(new float[240], output);
                var heard = output.WrittenCount / sizeof(float) * tempo;
                Assert.InRange(taken - heard, -Rate * 0.05 * Math.Max(1, tempo), Rate * 0.05 * Math.Max(1, tempo));
            }
        }
    }

    private static float[] Change(float[] samples, double tempo)
    {
        var output = new ArrayBufferWriter<byte>();
        using var encoder = new TempoEncoder(tempo, Rate, new FloatEncoder());
        encoder.Encode(samples, output);
        encoder.Finish(output);
        return MemoryMarshal.Cast<byte, float>(output.WrittenSpan).ToArray();
    }
}
