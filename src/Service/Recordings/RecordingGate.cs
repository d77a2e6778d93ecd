using Chatterbox.Engine;
using Chatterbox.Service.Hosting;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Recordings;

/// <summary>Bounds what recordings take: how many are in hand, from the first byte of the upload to the end of the answer, by all
/// clients and by one; and how many are decoded at once.</summary>
/// <remarks>A recording takes more memory than a text does, so there are fewer places than in the queue of the engine, which it waits
/// in as well. Decoding blocks a thread, so it has threads of its own: those of the server stay free.</remarks>
internal sealed class RecordingGate(IOptions<EngineOptions> engine)
    : ClientGate(Math.Max(1, engine.Value.QueueFor(places: 0) / PlacesInQueueForOne)),
        IDisposable
{
    private const int PlacesInQueueForOne = 4;

    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(5);

    private readonly SemaphoreSlim _decoders = new(Environment.ProcessorCount);

    /// <summary>Takes a place for a request with recordings, until its answer has ended.</summary>
    /// <exception cref="RefusedException">There is none for this client.</exception>
    public void Enter(HttpContext http) =>
        http.Response.RegisterForDispose(
            TryEnter(Clients.Of(http))
                ?? throw new RefusedException(
                    new Refusal(
                        StatusCodes.Status429TooManyRequests,
                        "The service has as many recordings in hand as it can take, or as one client may have. Try again later.",
                        Code: "too_many_recordings",
                        RetryAfter: RetryAfter
                    )
                )
        );

    /// <summary>Decodes when there is a processor for it.</summary>
    /// <param name="decode">Decodes.</param>
    /// <param name="cancellationToken">Stops waiting for a processor.</param>
    public async Task<T> DecodeAsync<T>(Func<T> decode, CancellationToken cancellationToken)
    {
        await _decoders.WaitAsync(cancellationToken);
        try
        {
            return await Task.Factory.StartNew(decode, cancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        }
        finally
        {
            _decoders.Release();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _decoders.Dispose();
}
