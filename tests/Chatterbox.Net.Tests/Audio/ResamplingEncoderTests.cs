using System.Buffers;
using System.Runtime.InteropServices;
using Chatterbox.Audio;

namespace Chatterbox.Tests.Audio;

public class ResamplingEncoderTests
{
    [Theory]
    [InlineData(8_000)]
    [InlineData(16_000)]
    [InlineData(22_050)]
    [InlineData(44_100)]
    [InlineData(48_000)]
    public void Blocks_of_any_size_give_the_samples_of_the_whole(int rate)
    {
        var random = new Random(rate);
        foreach (var length in new[] { 1, 100, 24_000, 70_001 })
        {
            float[] samples = [.. Enumerable.Range(0, length).Select(_ => random.NextSingle() - 0.5f)];
            var output = new ArrayBufferWriter<byte>();
            using var encoder = new ResamplingEncoder(24_000, rate, new FloatEncoder());
            for (var i = 0; i < length; )
            {
                var count = Math.Min(length - i, random.Next(1, 5000));
                encoder.Encode(samples.AsSpan(i, count), output);
                i += count;
            }

            encoder.Finish(output);
            Assert.Equal(Resampler.Resample(samples, 24_000, rate), MemoryMarshal.Cast<byte, float>(output.WrittenSpan).ToArray());
        }
    }
}
