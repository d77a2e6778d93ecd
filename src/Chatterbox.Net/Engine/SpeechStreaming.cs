using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;

namespace Chatterbox.Engine;

/// <summary>Speech from an engine while it is generated.</summary>
public static class SpeechStreaming
{
    /// <summary>Generates a text's speech chunk by chunk.</summary>
    /// <param name="engine">Speaks.</param>
    /// <param name="request">What to say; where it says nothing of chunks, they are cut as <see cref="ChunkOptions"/> does by default.</param>
    /// <param name="cancel">Gives the rest up, as leaving the enumeration does.</param>
    /// <exception cref="EngineBusyException">The queue is full.</exception>
    /// <exception cref="UnavailableException">The engine is stopping, its model could not be loaded, or the request took too long.</exception>
    /// <exception cref="RequestException">The text or a setting cannot be used.</exception>
    /// <exception cref="VoiceException">The voice does not fit the model.</exception>
    public static async IAsyncEnumerable<AudioChunk> StreamAsync(
        this ISpeechEngine engine, SpeechRequest request, [EnumeratorCancellation] CancellationToken cancel = default)
    {
        using var left = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        try
        {
            var job = engine.Submit(request with { Chunks = request.Chunks ?? new() }, left.Token);
            await foreach (var happened in job.Events.ConfigureAwait(false))
            {
                if (happened is PieceFailed failed)
                {
                    ExceptionDispatchInfo.Throw(failed.Error);
                }

                yield return (AudioChunk)happened;
            }
        }
        finally
        {
            await left.CancelAsync().ConfigureAwait(false);
        }
    }
}
