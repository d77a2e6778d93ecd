namespace Chatterbox.Tests;

public class NoiseSourceTests
{
    [Theory]
    [InlineData(16)]
    [InlineData(17)]
    [InlineData(5000)]
    public void What_is_passed_over_is_as_if_it_had_been_drawn(int count)
    {
        using var scope = NewDisposeScope();
        using var drawing = new NoiseSource(3);
        using var passing = new NoiseSource(3);
        for (var i = 0; i < 3; i++)
        {
            drawing.Normal([count]);
            passing.Skip(count);
            Assert.Equal(drawing.Normal([40]), passing.Normal([40]));
        }

        drawing.Normal([count]);
        passing.Skip(count);
        using var restored = new NoiseSource(4);
        restored.RestoreWords(passing.SaveWords());
        Assert.Equal(drawing.Normal([40]), restored.Normal([40]));
    }

    [Fact]
    public void Few_numbers_are_not_passed_over()
    {
        using var noise = new NoiseSource(3);
        Assert.Throws<ArgumentOutOfRangeException>(() => noise.Skip(15));
    }
}
