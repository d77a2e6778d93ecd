namespace Chatterbox.Tests;

public class FrameNoiseTests
{
    [Theory, InlineData(80), InlineData(4), InlineData(17)]
    public void A_frame_has_the_same_numbers_however_it_is_asked_for(int width)
    {
        using var scope = NewDisposeScope();
        using var all = new NoiseSource(1);
        using var some = new NoiseSource(1);
        using var whole = new FrameNoise(all, width, CPU);
        using var parts = new FrameNoise(some, width, CPU);
        var expected = whole.From(0, 12);
        Assert.Equal([12, width], expected.shape);
        foreach (var (first, count) in new[] { (0, 1), (0, 5), (2, 3), (4, 1), (5, 0), (5, 2), (8, 4) })
        {
            Assert.True(expected.narrow(0, first, count).Equals(parts.From(first, count)));
        }
    }
}
