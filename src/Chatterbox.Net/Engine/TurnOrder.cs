namespace Chatterbox.Engine;

/// <summary>Which request's turn comes first when some of them are streamed. A stream whose listener would have heard all
/// there is before it has another turn goes before everything else, and one whose listener has time enough behind everything
/// else. The others take turns, and so do streams that will be late whatever is done: being slow is no way to the front.</summary>
internal static class TurnOrder
{
    /// <summary>Where a request stands in line.</summary>
    /// <param name="left">Time until its listener has heard all there is; negative where they are waiting, null where nothing is
    /// being listened to.</param>
    /// <param name="longestTurn">How long turns take.</param>
    /// <returns>The lower, the sooner.</returns>
    public static double Rank(TimeSpan? left, TimeSpan longestTurn)
    {
        if (left is not { } time || time < longestTurn)
        {
            return 0;
        }

        return time < 2 * longestTurn ? -1 / (1 + time.TotalSeconds) : time.TotalSeconds;
    }
}
