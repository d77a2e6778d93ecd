namespace Chatterbox.Engine;

/// <summary>How many of a bounded number of places one client may take: as many as stay free for others, and one more. A single
/// client gets half of them, a second one half of the rest, and so on: no client can take the last places from all others.</summary>
/// <remarks>The dynamic thresholds of shared-memory switches (Choudhury and Hahne, 1998), with α = 1. There is nothing to set and
/// nothing to measure.</remarks>
internal static class FairShare
{
    /// <summary>Whether a client may take one more place.</summary>
    /// <param name="capacity">Places there are.</param>
    /// <param name="taken">Places taken, by all clients.</param>
    /// <param name="own">Places that this client has taken of them.</param>
    public static bool Allows(int capacity, int taken, int own) => taken < capacity && own <= capacity - taken;
}
