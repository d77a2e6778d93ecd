using Chatterbox.Engine;
using Chatterbox.Tests.Models;
using Microsoft.Extensions.Logging.Abstractions;

namespace Chatterbox.Tests.Engine;

/// <summary>The answer to a request depends on it and its seed alone, to the bit, whichever others share the model, join or
/// leave.</summary>
public sealed class CompanyTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("tiny-multilingual", 60, 1, false)] // one at a time, as on a CPU
    [InlineData("tiny-turbo", 80, 16, true)] // many in a step, voiced meanwhile, as on a GPU
    [InlineData("tiny", 60, 16, true)]
    [InlineData("tiny-flash", 20, 1, false)]
    public async Task Random_requests_are_answered_in_company_as_alone(string name, int count, int width, bool overlaps)
    {
        var model = Load(name);
        await using var engine = Engine(
            new ShapedModel(model)
            {
                StepWidth = width,
                VoiceWidth = 1 + (width / 4),
                VoicesDuringSteps = overlaps,
            }
        );
        var random = new Random(1);
        await Company.AnswersAsAloneAsync(engine, Company.Draw(model, random, count, mostTokens: 40), random, mostDelay: 200);
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task A_step_that_fails_fails_its_pieces_alone_and_later_ones_are_answered_as_before(bool overlaps)
    {
        var model = Load("tiny");
        var shaped = new ShapedModel(model)
        {
            StepWidth = 16,
            VoiceWidth = 4,
            VoicesDuringSteps = overlaps,
        };
        await using var engine = Engine(shaped);
        var requests = Company.Draw(model, new Random(2), count: 8, mostTokens: 40);
        var before = await Ask();
        var failed = 0;
        shaped.StepFails = rows => rows > 1 && Interlocked.CompareExchange(ref failed, rows, 0) == 0;
        var during = await Ask();
        Assert.True(failed > 0);
        Assert.InRange(
            during.Count(events => events.OfType<PieceFailed>().Any(piece => piece.Error.InnerException?.Message == "a kernel failed")),
            1,
            failed
        );
        shaped.StepFails = _ => false;
        Assert.Equal(before.Select(Samples), (await Ask()).Select(Samples));

        Task<List<SpeechEvent>[]> Ask() =>
            Task.WhenAll(requests.Select(request => engine.Submit(request, Cancel).Events.ToListAsync(Cancel).AsTask()));

        static float[] Samples(List<SpeechEvent> events) => [.. events.OfType<AudioChunk>().SelectMany(chunk => chunk.Samples.ToArray())];
    }

    private static ChatterboxModel Load(string name) =>
        ChatterboxModel.Load(TinyCheckpoint.FolderOf(name), new ModelOptions { Device = "cpu" });

    private static SpeechEngine Engine(ShapedModel model) =>
        new([() => model], new EngineOptions { MaxStreams = 16, MaxQueuedRequests = 1000 }, NullLogger<SpeechEngine>.Instance);
}
