using Chatterbox.Audio;

namespace Chatterbox.Tests.Audio;

public class Pcm16Tests
{
    [Theory]
    [InlineData(0f, 0)]
    [InlineData(1f, 32767)]
    [InlineData(-1f, -32768)]
    [InlineData(1.5f, 32767)]
    [InlineData(-7f, -32768)]
    [InlineData(0.5f, 16384)]
    [InlineData(1.49f / 32768, 1)]
    [InlineData(1.51f / 32768, 2)]
    [InlineData(-1.51f / 32768, -2)]
    [InlineData(float.NaN, 0)]
    [InlineData(float.PositiveInfinity, 32767)]
    [InlineData(float.NegativeInfinity, -32768)]
    public void Samples_are_rounded_and_clipped(float sample, int expected) => Assert.Equal(expected, Pcm16.FromFloat(sample));

    [Fact]
    public void Every_step_survives_the_way_to_float_and_back() =>
        Assert.All(Enumerable.Range(short.MinValue, 65536), step => Assert.Equal(step, Pcm16.FromFloat(step / 32768f)));

    [Fact]
    public void Bytes_are_little_endian() => Assert.Equal([0x00, 0x40, 0xFF, 0x7F, 0x00, 0x80], Pcm16.Encode([0.5f, 1f, -1f]));
}
