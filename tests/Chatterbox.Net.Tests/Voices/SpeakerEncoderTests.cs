using Chatterbox.Voices;

namespace Chatterbox.Tests.Voices;

public sealed class SpeakerEncoderTests(VoiceNetworks networks) : IClassFixture<VoiceNetworks>
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(83, 1)]
    [InlineData(127, 1)]
    [InlineData(160, 1)]
    [InlineData(160 + 44, 1)] // a second one would be covered to 127/160 = 0.79
    [InlineData(160 + 45, 2)] // 128/160 = 0.8
    [InlineData(160 + 77, 2)]
    [InlineData(160 + 77 + 44, 2)]
    [InlineData(160 + 77 + 45, 3)]
    [InlineData(60000, 778)]
    public void Partials_start_every_77_frames_and_are_covered_to_four_fifths(int frames, int partials)
    {
        Assert.Equal(77, new SpeakerEncoderConfig().FrameStep);
        Assert.Equal(partials, new SpeakerEncoderConfig().PartialsIn(frames));
    }

    [Theory]
    [InlineData(201)]
    [InlineData(16000)]
    [InlineData(30 * 16000)] // more partials than are heard at once
    public void Embeddings_have_unit_length(int samples)
    {
        using var scope = NewDisposeScope();
        var embedding = networks.SpeakerEncoder.Forward(randn(samples, generator: new Generator(1)) * 0.1);
        Assert.Equal([256], embedding.shape);
        Assert.Equal(1, embedding.norm().item<float>(), 1e-5f);
    }

    [Fact]
    public void Frames_behind_the_last_partial_do_not_count_and_missing_ones_are_zeros()
    {
        using var scope = NewDisposeScope();
        var samples = randn(160 * (160 + 44), generator: new Generator(1)) * 0.1; // 205 frames: two partials, 32 frames missing
        var cut = networks.SpeakerEncoder.Forward(samples[..(160 * 200)]); // 201 frames: one partial
        var longer = networks.SpeakerEncoder.Forward(samples[..(160 * 190)]); // 191 frames: the same one
        Assert.True((cut - longer).norm().item<float>() < 1e-6);
        Assert.True((networks.SpeakerEncoder.Forward(samples) - cut).norm().item<float>() > 1e-3);
    }
}
