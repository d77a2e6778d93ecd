using Chatterbox.Engine;
using Chatterbox.Service.Hosting;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Streaming;

/// <summary>Bounds the answers and sessions that have a process of their own to encode them, of all clients and of one: such a process
/// lives as long as its listener is slow, or its session is not flushed.</summary>
internal sealed class EncoderGate(IOptions<EngineOptions> engine) : ClientGate(Math.Max(Least, engine.Value.QueueFor(places: 0)))
{
    private const int Least = 8;

    /// <summary>Takes a place.</summary>
    /// <exception cref="RefusedException">There is none for this client.</exception>
    public IDisposable Enter(string client) =>
        TryEnter(client)
        ?? throw new RefusedException(
            new Refusal(
                StatusCodes.Status429TooManyRequests,
                "The service encodes as many answers as it can, or as one client may have. Ask for wav or pcm, or try again later.",
                "response_format",
                "too_many_encoders",
                TimeSpan.FromSeconds(5)
            )
        );
}
