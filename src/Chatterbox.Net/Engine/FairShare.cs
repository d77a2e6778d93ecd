namespace Chatterbox.Engine;

/// <summary>How many of a bounded number of places one client may take: as many as stay free for others, and one more. A single
/// client gets half of them, a second one half of the rest, and so on: no client can take the last places from all others.</summary>
/// <remarks>The dynamic thresholds of shared-memory switches (Choudhury and Hahne, 1998), with α = 1. There is nothing to set and
/// nothing to measure.</remarks>
public static class FairShare
{
    private static readonly TimeSpan UnknownWait = TimeSpan.FromSeconds(5);

    /// <summary>Whether a client may take one more place.</summary>
    /// <param name="capacity">Places there are.</param>
    /// <param name="taken">Places taken, by all clients.</param>
    /// <param name="own">Places that this client has taken of them.</param>
    public static bool Allows(int capacity, int taken, int own) => taken < capacity && own <= capacity - taken;

    /// <summary>Refuses a request for which a queue has no place.</summary>
    /// <param name="capacity">Most requests that may wait.</param>
    /// <param name="waiting">Requests that wait.</param>
    /// <param name="own">Requests of the same client among them.</param>
    /// <param name="wait">Time until what waits is spoken; null where that is not known.</param>
    /// <exception cref="EngineBusyException">The queue is full, or the client has its share of it.</exception>
    public static void ThrowIfFull(int capacity, int waiting, int own, TimeSpan? wait)
    {
        if (!Allows(capacity, waiting, own))
        {
            var reason =
                waiting >= capacity
                    ? $"{capacity} requests are waiting already."
                    : $"{own} of your requests are waiting already; the other {capacity - waiting} places are kept for other clients.";
            throw new EngineBusyException($"{reason} Try again later.", wait ?? UnknownWait);
        }
    }
}
