using Chatterbox.Engine;

namespace Chatterbox.Tests.Engine;

public class StreamPriorityTests
{
    [Fact]
    public void Streams_that_would_run_dry_come_first_then_turns_then_streams_with_time_enough()
    {
        double?[] left = [null, -0.5, 0.1, 0.3, 0.4, 1, 5];
        var ranks = left.Select(seconds =>
                StreamPriority.Rank(
                    seconds is { } s ? TimeSpan.FromSeconds(s) : null,
                    TimeSpan.FromSeconds(0.25),
                    TimeSpan.FromSeconds(0.25)
                )
            )
            .ToArray();
        Assert.All(ranks[..3], rank => Assert.Equal(0, rank)); // nothing to be late for, or late whatever is done
        Assert.True(ranks[3] < ranks[4] && ranks[4] < 0); // the sooner it runs dry, the sooner
        Assert.True(ranks[5] > 0 && ranks[6] > ranks[5]);
    }

    [Fact]
    public void What_no_one_listens_to_yet_comes_last()
    {
        var turn = TimeSpan.FromSeconds(0.25);
        Assert.True(StreamPriority.Rank(TimeSpan.MaxValue, turn, turn) > StreamPriority.Rank(TimeSpan.FromHours(1), turn, turn));
    }

    [Fact]
    public void A_short_first_chunk_is_not_too_late_because_others_have_long_turns()
    {
        var (left, turn, longest) = (TimeSpan.FromSeconds(0.16), TimeSpan.FromSeconds(0.08), TimeSpan.FromSeconds(0.3));
        Assert.True(StreamPriority.Rank(left, turn, longest) < 0);
        Assert.Equal(0, StreamPriority.Rank(turn / 3, turn, longest));
    }
}
