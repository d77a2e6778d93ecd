using Chatterbox.Audio;

namespace Chatterbox.Engine;

/// <summary>Serves many callers with the models it owns: a bounded queue, and one thread for each model.</summary>
/// <remarks>Callers see requests and events only, whether the engine speaks one piece at a time or many in a batch, on one GPU
/// or several, in whole pieces or smaller chunks.</remarks>
public interface ISpeechEngine : IAsyncDisposable
{
    /// <summary>What the engine is doing.</summary>
    EngineStatus Status { get; }

    /// <summary>Completes when a model is ready; fails with the reason if none could be loaded.</summary>
    Task Ready { get; }

    /// <summary>Puts a request into the queue.</summary>
    /// <param name="request">The request: a <see cref="SpeechRequest"/> or a <see cref="ConversionRequest"/>.</param>
    /// <param name="cancellationToken">Gives the request up: its place is free before the next speech token.</param>
    /// <exception cref="EngineBusyException">The queue is full, or the client has its share of it.</exception>
    /// <exception cref="UnavailableException">The engine is stopping or its model could not be loaded.</exception>
    /// <exception cref="RequestException">The request has no pieces.</exception>
    SpeechJob Submit(EngineRequest request, CancellationToken cancellationToken = default);

    /// <summary>Makes a voice from a recording. It waits and takes its turn as speech does.</summary>
    /// <param name="recording">The recording.</param>
    /// <param name="client">As <see cref="EngineRequest.Client"/>.</param>
    /// <param name="cancellationToken">Gives it up, unless a model has begun.</param>
    /// <exception cref="VoiceException">The recording is too short, too long or silent.</exception>
    /// <exception cref="EngineBusyException">The queue is full, or the client has its share of it.</exception>
    Task<Voice> CreateVoiceAsync(AudioClip recording, string client = "", CancellationToken cancellationToken = default);

    /// <summary>How sure the watermark detector is, 0 to 1; null where there is nothing to judge. It waits and takes its turn as speech
    /// does.</summary>
    /// <param name="recording">The recording.</param>
    /// <param name="client">As <see cref="EngineRequest.Client"/>.</param>
    /// <param name="cancellationToken">Gives it up, unless a model has begun.</param>
    /// <exception cref="EngineBusyException">The queue is full, or the client has its share of it.</exception>
    Task<double?> DetectWatermarkAsync(AudioClip recording, string client = "", CancellationToken cancellationToken = default);

    /// <summary>Refuses new requests and those not begun, finishes those begun, then frees the models.</summary>
    /// <param name="cancellationToken">Stops waiting and cancels running requests.</param>
    Task StopAsync(CancellationToken cancellationToken = default);
}

/// <summary>A request in the engine's hands.</summary>
/// <param name="Position">Requests that were ahead of it when it came; 0 if none.</param>
/// <param name="ExpectedWait">Time until its first audio, from what the engine has measured; null before it has.</param>
/// <param name="Events">What happens to it, once, in order. Ends after the last piece; throws what ended the request early
/// (<see cref="UnavailableException"/> for a deadline or a stopping engine, <see cref="OperationCanceledException"/> if cancelled).</param>
public sealed record SpeechJob(int Position, TimeSpan? ExpectedWait, IAsyncEnumerable<SpeechEvent> Events)
{
    /// <summary>Completes when a model has begun with it, so that audio is near, or when it has ended before that.</summary>
    public Task Begun { get; init; } = Task.CompletedTask;
}

/// <summary>What an engine is doing.</summary>
/// <param name="State">Loading, ready, stopping, or failed.</param>
/// <param name="Waiting">Requests that have not begun.</param>
/// <param name="Active">Requests that have begun.</param>
/// <param name="Capacity">Most requests that may wait.</param>
public sealed record EngineStatus(EngineState State, int Waiting, int Active, int Capacity)
{
    /// <summary>Time until a request that comes now would begin, from what the engine has measured; null before it has.</summary>
    public TimeSpan? ExpectedWait { get; init; }
}

/// <summary>Where an engine is in its life.</summary>
public enum EngineState
{
    /// <summary>Models are being loaded; requests wait.</summary>
    Loading,

    /// <summary>Requests are served.</summary>
    Ready,

    /// <summary>What has begun is finished, the rest is refused.</summary>
    Stopping,

    /// <summary>No model could be loaded, or a model's device has failed; every request is refused.</summary>
    Failed,
}
