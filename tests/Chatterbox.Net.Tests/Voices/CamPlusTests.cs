namespace Chatterbox.Tests.Voices;

public sealed class CamPlusTests(VoiceNetworks networks) : IClassFixture<VoiceNetworks>
{
    [Theory]
    [InlineData(3)]
    [InlineData(199)]
    [InlineData(200)]
    [InlineData(201)]
    [InlineData(998)]
    public void Recordings_of_any_length_give_finite_numbers(int frames)
    {
        using var scope = NewDisposeScope();
        var xVector = networks.CamPlus.Forward(randn(frames, 80, generator: new Generator(1)));
        Assert.Equal([192], xVector.shape);
        Assert.True(xVector.isfinite().all().item<bool>());
    }
}
