using System.ComponentModel.DataAnnotations;
using System.Runtime.CompilerServices;

namespace Chatterbox.Engine;

/// <summary>Limits of the queue and of each model's work.</summary>
public sealed class EngineOptions
{
    private const int LeastQueue = 64;

    /// <summary>Most requests that may wait; one more is refused. One client may take as many of these places as stay free for others. 0
    /// takes 64
    /// and, where the loaded models generate more than 32 pieces at once, twice as many as these (see MaxStreams).</summary>
    [Range(0, 100_000)]
    public int MaxQueuedRequests { get; set; }

    /// <summary>Most seconds from a request's arrival to its last audio; then it ends with an error.</summary>
    [Range(1, 86_400)]
    public double RequestTimeoutSeconds { get; set; } = 600;

    /// <summary>Most pieces that a model generates at once; others wait until one of them is complete. 0 takes as many as the model can: on
    /// a CPU 8, or 16 of Turbo and Nano where T3 takes its fast steps; on a GPU, whose steps advance many pieces together, 128 of the
    /// models with guidance and 256 of Turbo and Nano, as far as their
    /// keys and values fit into half of the memory that is free after the weights were loaded.</summary>
    [Range(0, 1000)]
    public int MaxStreams { get; set; }

    /// <summary>Most seconds of audio that wait for the reader of a request; its speech pauses until some of it is read.</summary>
    [Range(1, 86_400)]
    public double MaxUnreadSeconds { get; set; } = 120;

    /// <summary>Whether a piece that went wrong (far too long, stuck in a few sounds, or silent for long) is generated once more, and
    /// silence at its end trimmed.</summary>
    public bool GuardQuality { get; set; } = true;

    /// <summary>Refuses what no engine can work with.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    internal void Check()
    {
        ArgumentOutOfRangeException.ThrowIfNegative(MaxQueuedRequests);
        ArgumentOutOfRangeException.ThrowIfNegative(MaxStreams);
        ThrowIfNotPositive(RequestTimeoutSeconds);
        ThrowIfNotPositive(MaxUnreadSeconds);

        static void ThrowIfNotPositive(double seconds, [CallerArgumentExpression(nameof(seconds))] string option = "")
        {
            if (!(seconds > 0 && seconds <= TimeSpan.MaxValue.TotalSeconds / 2))
            {
                throw new ArgumentOutOfRangeException(option, seconds, "Expected a positive number of seconds.");
            }
        }
    }

    /// <summary>Pieces that a model generates at once.</summary>
    internal int PlacesOf(ISpeechModel model) => MaxStreams == 0 ? model.MaxUtterances : Math.Min(MaxStreams, model.MaxUtterances);

    /// <summary>Requests that may wait.</summary>
    /// <param name="places">Pieces that the loaded models generate at once; 0 before one is loaded.</param>
    public int QueueFor(int places) => MaxQueuedRequests == 0 ? Math.Max(LeastQueue, 2 * places) : MaxQueuedRequests;
}
