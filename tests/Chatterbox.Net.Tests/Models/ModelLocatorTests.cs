using Chatterbox.Models;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Chatterbox.Tests.Models;

public sealed class ModelLocatorTests : IDisposable
{
    private readonly string _cache = Directory.CreateTempSubdirectory().FullName;
    private readonly ModelHub _hub;

    public ModelLocatorTests() =>
        _hub = new ModelHub(
            new ModelHubOptions
            {
                Endpoint = new Uri("http://127.0.0.1:9"),
                PackageIndex = new Uri("http://127.0.0.1:9"),
                CacheFolder = Path.Combine(_cache, "hub"),
                AssetsFolder = Path.Combine(_cache, "assets"),
                Retries = 0,
            }
        );

    [Fact]
    public async Task Auto_without_a_network_says_loudly_that_it_is_a_stand_in()
    {
        var log = new Collector();
        var found = await Locator(log).LocateAsync(ModelLocator.Auto);
        Assert.True(found.IsStandIn);
        Assert.Equal(ModelLocator.Tiny, found.Name);
        Assert.Contains(log.Lines, line => line.StartsWith("Warning THIS IS NOT THE REAL MODEL", StringComparison.Ordinal));
        using var model = ChatterboxModel.Load(found.Folder);
        Assert.NotNull(model.BuiltInVoice);
    }

    [Theory]
    [InlineData("cpu", "nano")]
    [InlineData("cuda", "english")]
    [InlineData("cuda:1", "english")]
    public void Auto_suits_the_device(string device, string model) => Assert.Equal(model, ModelLocator.PreferredOn(device));

    [Fact]
    public async Task A_named_model_is_never_replaced()
    {
        await Assert.ThrowsAsync<UnavailableException>(() => Locator().LocateAsync(ModelLocator.English));
        Assert.Contains(
            "no-such-model",
            (await Assert.ThrowsAsync<CheckpointException>(() => Locator().LocateAsync("no-such-model"))).Message,
            StringComparison.Ordinal
        );
    }

    [Fact]
    public async Task A_synthetic_model_is_written_once_and_a_folder_is_itself()
    {
        var first = await Locator().LocateAsync(ModelLocator.Tiny);
        var written = File.GetLastWriteTimeUtc(Path.Combine(first.Folder, "ve.safetensors"));
        var second = await Locator().LocateAsync(ModelLocator.Tiny);
        Assert.Equal(first, second);
        Assert.False(first.IsStandIn);
        Assert.Equal(written, File.GetLastWriteTimeUtc(Path.Combine(second.Folder, "ve.safetensors")));
        Assert.Equal(first.Folder, (await Locator().LocateAsync(first.Folder)).Folder);
        Assert.Empty(Directory.GetDirectories(_cache, "*.tmp"));
    }

    [Fact]
    public async Task Two_that_write_the_same_model_at_once_both_have_it()
    {
        var found = await Task.WhenAll(Locator().LocateAsync(ModelLocator.Tiny), Locator().LocateAsync(ModelLocator.Tiny));
        Assert.Equal(found[0], found[1]);
        Assert.Empty(Directory.GetDirectories(_cache, "*.tmp"));
    }

    public void Dispose()
    {
        _hub.Dispose();
        Directory.Delete(_cache, recursive: true);
    }

    private ModelLocator Locator(ILogger<ModelLocator>? log = null) => new(_hub, _cache, log ?? NullLogger<ModelLocator>.Instance);

    private sealed class Collector : ILogger<ModelLocator>
    {
        public List<string> Lines { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel,
            EventId eventId,
            TState state,
            Exception? exception,
            Func<TState, Exception?, string> formatter
        ) => Lines.Add($"{logLevel} {formatter(state, exception)}");
    }
}
