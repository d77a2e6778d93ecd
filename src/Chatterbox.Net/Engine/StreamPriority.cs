namespace Chatterbox.Engine;

/// <summary>Which request's turn comes first when some of them are streamed. A stream whose listener would have heard all
/// there is before its next turn ends, were others to go first, goes before everything else, and one whose listener has time
/// enough behind everything else. The others take turns, and so do streams that will be late whatever is done: being slow
/// is no way to the front.</summary>
internal static class StreamPriority
{
    private const int Others = 3; // turns that one who is not urgent may have to wait for

    /// <summary>Where a request stands in line.</summary>
    /// <param name="left">Time until its listener has heard all there is; negative where they are waiting, null where nothing is
    /// being listened to.</param>
    /// <param name="turn">How long its next turn takes.</param>
    /// <param name="longestTurn">How long turns take.</param>
    /// <returns>The lower, the sooner.</returns>
    public static double Rank(TimeSpan? left, TimeSpan turn, TimeSpan longestTurn)
    {
        if (left is not { } time || time < turn / 2)
        {
            return 0;
        }

        return time < turn + (Others * longestTurn) ? -1 / (1 + time.TotalSeconds) : time.TotalSeconds;
    }
}
