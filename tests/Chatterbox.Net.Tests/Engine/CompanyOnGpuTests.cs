using Chatterbox.Engine;
using Chatterbox.Tests.Parity;
using Microsoft.Extensions.Logging.Abstractions;

namespace Chatterbox.Tests.Engine;

/// <summary>As <see cref="CompanyTests"/>, with models of full size on a GPU.</summary>
public sealed class CompanyOnGpuTests(ModelOnGpuTests.Checkpoints checkpoints) : IClassFixture<ModelOnGpuTests.Checkpoints>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("nano", 200)]
    [InlineData("turbo", 100)]
    [InlineData("english", 200)]
    [InlineData("multilingual", 100)]
    public async Task Random_requests_are_answered_in_batches_as_alone(string variant, int count)
    {
        var (model, shaped) = Load(variant);
        await using var engine = Engine(shaped);
        var random = new Random(1);
        await Company.AnswersAsAloneAsync(engine, Company.Draw(model, random, count, mostTokens: 250), random, mostDelay: 1000);
        Close.Report($"{variant}: {count} requests alone and in company are the same; up to {shaped.MostRows} in a step");
        Assert.InRange(shaped.MostRows, 16, 64);
    }

    [Fact]
    public async Task A_step_that_fails_fails_its_pieces_alone_and_later_ones_are_answered_as_before()
    {
        var (model, shaped) = Load("nano");
        await using var engine = Engine(shaped);
        var requests = Company.Draw(model, new Random(2), count: 32, mostTokens: 250);
        var before = await Ask();
        var failed = 0;
        shaped.StepFails = rows => rows > 8 && Interlocked.CompareExchange(ref failed, rows, 0) == 0;
        var during = await Ask();
        Assert.InRange(
            during.Count(events => events.OfType<PieceFailed>().Any(piece => piece.Error.InnerException?.Message == "a kernel failed")),
            1,
            failed
        );
        shaped.StepFails = _ => false;
        Assert.Equal(before.Select(Samples), (await Ask()).Select(Samples));
        Assert.Equal(EngineState.Ready, engine.Status.State);

        Task<List<SpeechEvent>[]> Ask() =>
            Task.WhenAll(requests.Select(request => engine.Submit(request, Cancel).Events.ToListAsync(Cancel).AsTask()));

        static float[] Samples(List<SpeechEvent> events) => [.. events.OfType<AudioChunk>().SelectMany(chunk => chunk.Samples.ToArray())];
    }

    private (ChatterboxModel Model, ShapedModel Shaped) Load(string variant)
    {
        Gpu.Required();
        var model = ChatterboxModel.Load(checkpoints.FolderOf(variant), new ModelOptions { Device = "cuda" });
        model.WarmUp();
        return (model, new ShapedModel(model));
    }

    private static SpeechEngine Engine(ShapedModel model) =>
        new([() => model], new EngineOptions { MaxStreams = 64, MaxQueuedRequests = 1000 }, NullLogger<SpeechEngine>.Instance);
}
