using System.Collections.Concurrent;
using System.Text.RegularExpressions;
using Chatterbox.Models;
using Microsoft.AspNetCore.Http;

namespace Chatterbox.Tests.Models;

public sealed class ModelHubTests : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("chatterbox-test-").FullName;
    private FakeHub _hub = null!;
    private ModelHubOptions _options = null!;

    public async ValueTask InitializeAsync()
    {
        _hub = await FakeHub.StartAsync();
        var random = new Random(1);
        foreach (
            var (name, size) in new[]
            {
                ("t3.safetensors", 300_000),
                ("s3gen.pt", 65_536),
                ("tokenizer.json", 777),
                ("voices/conds.pt", 5_000),
            }
        )
        {
            var content = new byte[size];
            random.NextBytes(content);
            _hub.Files[name] = content;
        }

        _options = new ModelHubOptions
        {
            Endpoint = _hub.Endpoint,
            CacheFolder = Path.Combine(_folder, "hub"),
            AssetsFolder = Path.Combine(_folder, "assets"),
            Token = "hf_secret",
            PartBytes = 32_768,
            RetryDelay = TimeSpan.FromMilliseconds(1),
            IdleTimeout = TimeSpan.FromSeconds(5),
        };
    }

    public async ValueTask DisposeAsync()
    {
        await _hub.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task A_model_is_downloaded_into_the_hubs_own_layout()
    {
        var progress = new Reports();
        var folder = await Download(_hub.Pinned("main"), progress: progress);
        var root = Path.Combine(_options.CacheFolder, "models--Somebody--some-model");
        Assert.Equal(Path.Combine(root, "snapshots", FakeHub.Commit), folder);
        AssertWhole(folder);
        Assert.Equal(FakeHub.Commit, File.ReadAllText(Path.Combine(root, "refs", "main")));
        Assert.Equal(
            $"../../blobs/{FakeHub.Sha256(_hub.Files["t3.safetensors"])}",
            new FileInfo(Path.Combine(folder, "t3.safetensors")).LinkTarget
        );
        Assert.Equal(
            $"../../../blobs/{FakeHub.Sha256(_hub.Files["voices/conds.pt"])}",
            new FileInfo(Path.Combine(folder, "voices/conds.pt")).LinkTarget
        );
        Assert.Equal(
            $"../../blobs/{FakeHub.GitBlob(_hub.Files["tokenizer.json"])}",
            new FileInfo(Path.Combine(folder, "tokenizer.json")).LinkTarget
        );
        Assert.Equal(_hub.Files.Count, Directory.GetFiles(Path.Combine(root, "blobs")).Length);
        Assert.Equal(_hub.Files.Values.Sum(f => f.Length), progress.All[^1].Bytes);
        Assert.All(progress.All, p => Assert.InRange(p.Fraction, 0, 1));
        Assert.Equal(1, progress.All[^1].Fraction);
    }

    [Fact]
    public async Task Large_files_come_in_parts_and_the_token_stays_with_the_hub()
    {
        await Download(_hub.Pinned());
        Assert.Equal(
            10,
            _hub.Downloads.Count(asked => asked.Path.EndsWith(FakeHub.Sha256(_hub.Files["t3.safetensors"]), StringComparison.Ordinal))
        );
        Assert.Contains(_hub.Downloads, asked => asked.Range == "bytes=294912-299999");
        Assert.All(_hub.Downloads, asked => Assert.Null(asked.Authorization));
        Assert.All(_hub.Log.Where(asked => !asked.OfStorage), asked => Assert.Equal("Bearer hf_secret", asked.Authorization));
    }

    [Fact]
    public async Task What_is_in_the_cache_is_not_asked_for_again()
    {
        var folder = await Download(_hub.Pinned());
        _hub.Log.Clear();
        Assert.Equal(folder, await Download(_hub.Pinned()));
        Assert.Equal(folder, await Download(_hub.Pinned(), _options with { Offline = true }));
        Assert.Empty(_hub.Log);
        Assert.Equal(folder, await Download(_hub.Unpinned()));
        Assert.Empty(_hub.Downloads);
    }

    [Fact]
    public async Task A_cache_filled_by_Python_is_used()
    {
        // huggingface_hub's layout, of a revision other than the one that is asked for.
        var root = Path.Combine(_options.CacheFolder, "models--Somebody--some-model");
        var snapshot = Path.Combine(root, "snapshots", new string('a', 40));
        foreach (var (name, content) in _hub.Files)
        {
            var etag = content.Length < _hub.LargeFrom ? FakeHub.GitBlob(content) : FakeHub.Sha256(content);
            Write(Path.Combine(root, "blobs", etag), content);
            var file = Path.Combine(snapshot, name);
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            File.CreateSymbolicLink(file, Path.GetRelativePath(Path.GetDirectoryName(file)!, Path.Combine(root, "blobs", etag)));
        }

        using var hub = new ModelHub(_options);
        Assert.True(hub.TryFindCached(_hub.Pinned(), out var found));
        Assert.Equal(snapshot, found);
        Assert.False(hub.TryFindCached(_hub.Unpinned(), out _));
        Assert.Equal(snapshot, await Download(_hub.Pinned(), _options with { Offline = true }));
        Assert.Empty(_hub.Log);

        AssertWhole(await Download(_hub.Unpinned()));
        Assert.Empty(_hub.Downloads);
    }

    [Fact]
    public async Task Another_content_of_the_same_size_is_not_taken_for_the_model()
    {
        var folder = await Download(_hub.Pinned());
        var other = _hub.Files["t3.safetensors"].Reverse().ToArray();
        var model = _hub.Pinned();
        var changed = model with
        {
            Revision = new string('b', 40),
            Files = [.. model.Files.Skip(1), new HubFile("t3.safetensors", other.Length, FakeHub.Sha256(other))],
        };
        using var hub = new ModelHub(_options);
        Assert.False(hub.TryFindCached(changed, out _));
        Assert.True(hub.TryFindCached(model with { Revision = new string('b', 40) }, out var same));
        Assert.Equal(folder, same);
    }

    [Fact]
    public async Task Without_links_the_snapshot_has_the_files_themselves()
    {
        var options = _options with { UseSymlinks = false };
        var folder = await Download(_hub.Pinned(), options);
        AssertWhole(folder);
        Assert.All(_hub.Files.Keys, name => Assert.Null(new FileInfo(Path.Combine(folder, name)).LinkTarget));
        _hub.Log.Clear();
        Assert.Equal(folder, await Download(_hub.Pinned(), options));
        using var hub = new ModelHub(options);
        Assert.True(hub.TryFindCached(_hub.Pinned(new string('c', 40)), out _));
        File.WriteAllBytes(Path.Combine(folder, "voices/conds.pt"), new byte[5_000]);
        Assert.False(hub.TryFindCached(_hub.Pinned(new string('c', 40)), out _));
        Assert.Empty(_hub.Log);
    }

    [Fact]
    public async Task A_server_without_ranges_is_read_from_beginning_to_end()
    {
        _hub.KnowsRanges = false;
        _hub.CutNext(2, 100_000);
        var progress = new Reports();
        AssertWhole(await Download(_hub.Pinned(), _options with { Connections = 1 }, progress));
        Assert.Equal(_hub.Files.Values.Sum(f => f.Length), progress.All[^1].Bytes);
    }

    [Fact]
    public async Task Cut_connections_go_on_where_they_were_cut()
    {
        _hub.CutNext(12, 5_000);
        AssertWhole(await Download(_hub.Pinned(), _options with { Retries = 2, Connections = 1 }));
        Assert.Contains(_hub.Downloads, asked => asked.Range == "bytes=5000-32767");
    }

    [Theory]
    [InlineData(429, "Retry-After", "0")]
    [InlineData(429, "RateLimit", "\"resolvers\";r=0;t=0")]
    [InlineData(503, "Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT")]
    [InlineData(500, null, null)]
    [InlineData(502, null, null)]
    [InlineData(408, null, null)]
    public async Task What_may_pass_is_tried_again(int status, string? header, string? value)
    {
        for (var i = 0; i < 3; i++)
        {
            _hub.RefuseNext(_hub.HubFaults, status, header, value);
            _hub.RefuseNext(_hub.StorageFaults, status, header, value);
        }

        AssertWhole(await Download(_hub.Pinned()));
    }

    [Fact]
    public async Task A_wait_that_is_asked_for_is_kept_up_to_a_limit()
    {
        _hub.RefuseNext(_hub.HubFaults, 429, "Retry-After", "17");
        var time = new TimeWithoutWaits();
        AssertWhole(await Download(_hub.Pinned(), _options with { Time = time }));
        Assert.Equal([TimeSpan.FromSeconds(17)], time.Waits);

        _hub.RefuseNext(_hub.HubFaults, 503, "Retry-After", "3600");
        var error = await Assert.ThrowsAsync<UnavailableException>(() => Download(_hub.Unpinned("main"), Elsewhere));
        Assert.Contains("wait 3600 s", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_silent_server_is_given_up_and_tried_again()
    {
        _hub.CutNext(2, 100, silent: true);
        AssertWhole(await Download(_hub.Pinned(), _options with { IdleTimeout = TimeSpan.FromMilliseconds(1500), Connections = 1 }));
        Assert.Contains(_hub.Downloads, asked => asked.Range == "bytes=100-32767");
        Assert.Contains(_hub.Downloads, asked => asked.Range == "bytes=200-32767");
    }

    [Fact]
    public async Task A_server_that_keeps_failing_is_an_error_and_what_came_in_is_kept()
    {
        _hub.CutNext(100, 0);
        var error = await Assert.ThrowsAsync<UnavailableException>(() => Download(_hub.Pinned(), _options with { Retries = 3 }));
        Assert.Contains("4 times", error.Message, StringComparison.Ordinal);
        Assert.False(new ModelHub(_options).TryFindCached(_hub.Pinned(), out _));
        _hub.StorageFaults.Clear();
        AssertWhole(await Download(_hub.Pinned()));
    }

    [Fact]
    public async Task A_stopped_download_goes_on_in_the_next_one()
    {
        using var stop = new CancellationTokenSource();
        var served = 0;
        for (var i = 0; i < 100; i++)
        {
            _hub.StorageFaults.Enqueue(async context =>
            {
                if (Interlocked.Increment(ref served) > 5)
                {
                    await stop.CancelAsync();
                    context.Abort();
                    return true;
                }

                return false;
            });
        }

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
            Download(_hub.Pinned(), _options with { Connections = 2 }, cancellationToken: stop.Token)
        );
        Assert.False(new ModelHub(_options).TryFindCached(_hub.Pinned(), out _));
        _hub.StorageFaults.Clear();
        _hub.Log.Clear();
        var progress = new Reports();
        AssertWhole(await Download(_hub.Pinned(), progress: progress));
        Assert.InRange(_hub.Downloads.Count(), 1, 9);
        Assert.Equal(_hub.Files.Values.Sum(f => f.Length), progress.All[^1].Bytes);
    }

    [Fact]
    public async Task A_partial_file_that_is_wrong_is_downloaded_afresh()
    {
        _hub.CutNext(100, 0);
        _hub.StorageFaults.TryDequeue(out _);
        await Assert.ThrowsAsync<UnavailableException>(() => Download(_hub.Pinned(), _options with { Retries = 1, Connections = 1 }));
        _hub.StorageFaults.Clear();
        var partial = Assert.Single(Directory.GetFiles(_options.CacheFolder, "*.incomplete", SearchOption.AllDirectories));
        File.WriteAllBytes(partial, new byte[new FileInfo(partial).Length]);
        AssertWhole(await Download(_hub.Pinned()));
        Assert.Empty(Directory.GetFiles(_options.CacheFolder, "*incomplete*", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task Two_that_download_the_same_model_at_once_share_the_work()
    {
        var folders = await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => Task.Run(() => Download(_hub.Pinned()))));
        Assert.Single(folders.Distinct());
        AssertWhole(folders[0]);
        Assert.Equal(10 + 2 + 1, _hub.Downloads.Count());
    }

    [Fact]
    public async Task Two_without_links_share_the_work_too()
    {
        var folders = await Task.WhenAll(
            Enumerable.Range(0, 3).Select(_ => Task.Run(() => Download(_hub.Pinned(), _options with { UseSymlinks = false })))
        );
        AssertWhole(folders[0]);
        Assert.Equal(10 + 2 + 1, _hub.Downloads.Count());
    }

    [Fact]
    public async Task Another_programs_lock_is_waited_for()
    {
        var etag = FakeHub.Sha256(_hub.Files["t3.safetensors"]);
        var path = Path.Combine(_options.CacheFolder, ".locks", "models--Somebody--some-model", etag + ".lock");
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        Task<string> download;
        using (new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None))
        {
            var time = new TimeWithoutWaits();
            download = Download(_hub.Pinned(), _options with { Time = time });
            await Waits.Until(() => time.Waits.Count >= 3);
            Assert.False(download.IsCompleted);
            Assert.Empty(_hub.Downloads);
        }

        AssertWhole(await download);
    }

    [Fact]
    public async Task A_wrong_hash_is_an_error_and_nothing_of_it_stays()
    {
        var model = _hub.Pinned();
        _hub.Headers["X-Linked-ETag"] = FakeHub.Sha256(_hub.Files["t3.safetensors"]);
        _hub.StorageFaults.Enqueue(async context =>
        {
            context.Response.StatusCode = StatusCodes.Status206PartialContent;
            context.Response.Headers.ContentRange = "bytes 0-32767/300000";
            await context.Response.Body.WriteAsync(new byte[32_768]);
            return true;
        });
        var error = await Assert.ThrowsAsync<CheckpointException>(() =>
            Download(model with { Files = [model.Files[0]] }, _options with { Connections = 1 })
        );
        Assert.Contains("changed upstream", error.Message, StringComparison.Ordinal);
        Assert.Contains(model.Files[0].Sha256!, error.Message, StringComparison.Ordinal);
        Assert.Empty(
            Directory.GetFiles(Path.Combine(_options.CacheFolder, "models--Somebody--some-model"), "*", SearchOption.AllDirectories)
        );
    }

    [Fact]
    public async Task Small_files_are_verified_by_either_hash()
    {
        _hub.Files.Remove("t3.safetensors");
        _hub.Files.Remove("s3gen.pt");
        _hub.Files.Remove("voices/conds.pt");
        var pinned = new HubModel(FakeHub.Repository, FakeHub.Commit, [new HubFile("tokenizer.json", 777, new string('0', 64))]);
        Assert.Contains(
            "changed upstream",
            (await Assert.ThrowsAsync<CheckpointException>(() => Download(pinned))).Message,
            StringComparison.Ordinal
        );
        _hub.Headers["ETag"] = $"\"{new string('0', 40)}\"";
        Assert.Contains(
            "changed upstream",
            (await Assert.ThrowsAsync<CheckpointException>(() => Download(_hub.Unpinned()))).Message,
            StringComparison.Ordinal
        );
        _hub.Headers.Clear();
        AssertWhole(await Download(_hub.Unpinned()));
    }

    [Theory]
    [InlineData("X-Linked-Size", "299999")]
    [InlineData("X-Linked-ETag", "\"0000000000000000000000000000000000000000000000000000000000000000\"")]
    public async Task A_file_that_changed_upstream_is_refused_before_it_is_downloaded(string header, string value)
    {
        _hub.Headers[header] = value;
        var error = await Assert.ThrowsAsync<CheckpointException>(() => Download(_hub.Pinned()));
        Assert.Contains("changed upstream", error.Message, StringComparison.Ordinal);
        Assert.Empty(_hub.Downloads);
    }

    [Theory]
    [InlineData("X-Repo-Commit", "../../../../tmp")]
    [InlineData("X-Linked-ETag", "\"../../evil\"")]
    [InlineData("X-Linked-ETag", "")]
    [InlineData("X-Linked-Size", "-1")]
    [InlineData("X-Linked-Size", "many")]
    public async Task Answers_that_are_not_the_hubs_are_refused(string header, string value)
    {
        _hub.Headers[header] = value;
        Assert.Contains(
            "not as the hub answers",
            (await Assert.ThrowsAsync<UnavailableException>(() => Download(_hub.Unpinned()))).Message,
            StringComparison.Ordinal
        );
        Assert.Empty(_hub.Downloads);
    }

    [Fact]
    public async Task A_storage_that_has_another_size_is_refused()
    {
        _hub.StorageFaults.Enqueue(async context =>
        {
            context.Response.StatusCode = StatusCodes.Status206PartialContent;
            context.Response.Headers.ContentRange = "bytes 0-32767/300001";
            await context.Response.Body.WriteAsync(new byte[32_768]);
            return true;
        });
        var error = await Assert.ThrowsAsync<CheckpointException>(() => Download(_hub.Pinned(), _options with { Connections = 1 }));
        Assert.Contains("has 300001 bytes now, expected 300000", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_gated_model_says_how_to_get_in()
    {
        _hub.Gate = "another token";
        var error = await Assert.ThrowsAsync<UnavailableException>(() => Download(_hub.Pinned()));
        Assert.Contains("https://huggingface.co/Somebody/some-model", error.Message, StringComparison.Ordinal);
        Assert.Contains("HF_TOKEN", error.Message, StringComparison.Ordinal);
        _hub.Gate = "hf_secret";
        AssertWhole(await Download(_hub.Pinned()));
    }

    [Fact]
    public async Task What_the_hub_has_not_is_named()
    {
        var model = _hub.Pinned();
        async Task<string> Fails<T>(HubModel wanted)
            where T : ChatterboxException => (await Assert.ThrowsAsync<T>(() => Download(wanted))).Message;
        Assert.Contains(
            "has no file 'missing.bin'",
            await Fails<CheckpointException>(model with { Files = [new HubFile("missing.bin")] }),
            StringComparison.Ordinal
        );
        Assert.Contains("no revision 'v9'", await Fails<CheckpointException>(model with { Revision = "v9" }), StringComparison.Ordinal);
        Assert.Contains(
            "does not exist, or is private",
            await Fails<UnavailableException>(model with { Repository = "Nobody/nothing" }),
            StringComparison.Ordinal
        );
        _hub.RefuseNext(_hub.HubFaults, 403);
        Assert.Contains("may not read", await Fails<UnavailableException>(model), StringComparison.Ordinal);
        _hub.RefuseNext(_hub.HubFaults, 418);
        Assert.Contains("answers 418", await Fails<UnavailableException>(model), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("../evil", "main", "a")]
    [InlineData("evil", "main", "a")]
    [InlineData("a/b/c", "main", "a")]
    [InlineData("a/b", "../main", "a")]
    [InlineData("a/b", "", "a")]
    [InlineData("a/b", "main", "../a")]
    [InlineData("a/b", "main", "/etc/passwd")]
    [InlineData("a/b", "main", "a\\b")]
    public async Task Names_that_lead_elsewhere_are_refused(string repository, string revision, string file)
    {
        var model = new HubModel(repository, revision, [new HubFile(file)]);
        Assert.Contains(
            "is no name of",
            (await Assert.ThrowsAsync<CheckpointException>(() => Download(model))).Message,
            StringComparison.Ordinal
        );
        Assert.Empty(_hub.Log);
    }

    [Fact]
    public async Task Offline_says_what_is_missing_and_asks_nobody()
    {
        var error = await Assert.ThrowsAsync<UnavailableException>(() => Download(_hub.Pinned(), _options with { Offline = true }));
        Assert.Contains("HF_HUB_OFFLINE", error.Message, StringComparison.Ordinal);
        Assert.Contains("t3.safetensors", error.Message, StringComparison.Ordinal);
        Assert.Empty(_hub.Log);
    }

    [Fact]
    public async Task Without_a_network_the_cache_answers_for_a_branch()
    {
        var folder = await Download(_hub.Unpinned());
        var unreachable = _options with { Endpoint = new Uri("http://127.0.0.1:9"), Retries = 1 };
        Assert.Equal(folder, await Download(_hub.Unpinned(), unreachable));
        var error = await Assert.ThrowsAsync<UnavailableException>(() => Download(_hub.Unpinned("other"), unreachable));
        Assert.Contains("127.0.0.1:9 cannot be reached", error.Message, StringComparison.Ordinal);
        Assert.Contains("HF_ENDPOINT", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_full_disk_is_noticed_before_the_first_byte()
    {
        var error = await Assert.ThrowsAsync<UnavailableException>(() =>
            Download(_hub.Pinned(), _options with { FreeBytes = _ => 16 << 20 })
        );
        Assert.Contains("are free there", error.Message, StringComparison.Ordinal);
        Assert.Empty(_hub.Downloads);
        var free = (16 << 20) + _hub.Files.Values.Sum(f => f.Length);
        AssertWhole(await Download(_hub.Pinned(), _options with { FreeBytes = _ => free }));
    }

    [Fact]
    public async Task A_disk_that_fills_up_meanwhile_is_an_error_too()
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "This system has no /dev/full.");
        var error = await Assert.ThrowsAsync<UnavailableException>(() =>
            DiskErrors.ExplainAsync(
                "/cache",
                "HF_HOME",
                async () =>
                {
                    await using var full = new FileStream("/dev/full", FileMode.Open, FileAccess.Write, FileShare.ReadWrite, 0);
                    await full.WriteAsync(new byte[1]);
                    return 0;
                }
            )
        );
        Assert.Contains("The disk of /cache is full", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_that_cannot_be_written_to_is_named()
    {
        File.WriteAllText(_options.CacheFolder, "a file where the folder should be");
        var error = await Assert.ThrowsAsync<UnavailableException>(() => Download(_hub.Pinned()));
        Assert.Contains("HF_HOME", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Redirects_within_the_hub_keep_the_token_and_circles_end()
    {
        _hub.RefuseNext(_hub.HubFaults, 307, "Location", $"/{FakeHub.Repository}/resolve/{FakeHub.Commit}/t3.safetensors");
        _hub.Files.Remove("s3gen.pt");
        _hub.Files.Remove("tokenizer.json");
        _hub.Files.Remove("voices/conds.pt");
        AssertWhole(await Download(_hub.Pinned()));
        Assert.All(_hub.Log.Where(asked => !asked.OfStorage), asked => Assert.Equal("Bearer hf_secret", asked.Authorization));
        for (var i = 0; i < 20; i++)
        {
            _hub.RefuseNext(_hub.HubFaults, 302, "Location", "/round/and/round");
        }

        Assert.Contains(
            "redirects more than",
            (await Assert.ThrowsAsync<UnavailableException>(() => Download(_hub.Unpinned(), Elsewhere))).Message,
            StringComparison.Ordinal
        );
    }

    [Fact]
    public async Task A_signed_address_that_ran_out_is_asked_for_anew()
    {
        for (var i = 0; i < 4; i++)
        {
            _hub.RefuseNext(_hub.StorageFaults, 403);
        }

        AssertWhole(await Download(_hub.Pinned(), _options with { Connections = 1 }));
    }

    [Fact]
    public async Task A_client_that_follows_redirects_itself_is_refused()
    {
        using var client = new HttpClient();
        using var hub = new ModelHub(_options, client);
        await Assert.ThrowsAsync<InvalidOperationException>(() =>
            hub.DownloadAsync(_hub.Pinned(), cancellationToken: TestContext.Current.CancellationToken)
        );
    }

    [Fact]
    public void Settings_come_from_the_hubs_environment_variables()
    {
        var home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        ModelHubOptions From(params (string Name, string Value)[] variables) =>
            ModelHubOptions.FromEnvironment(name => variables.Where(v => v.Name == name).Select(v => v.Value).FirstOrDefault());

        var plain = From(("HF_TOKEN", ""));
        Assert.Equal(Path.Combine(home, ".cache/huggingface/hub"), plain.CacheFolder);
        Assert.Equal(Path.Combine(home, ".cache/huggingface/assets"), plain.AssetsFolder);
        Assert.Equal(
            ("https://huggingface.co/", null, false, true),
            (plain.Endpoint.AbsoluteUri, plain.Token, plain.Offline, plain.UseSymlinks)
        );
        Assert.Equal("/x/huggingface/hub", From(("XDG_CACHE_HOME", "/x")).CacheFolder);
        Assert.Equal(("/h/hub", "/h/assets"), (From(("HF_HOME", "/h")).CacheFolder, From(("HF_HOME", "/h")).AssetsFolder));
        Assert.Equal(Path.Combine(home, "h/hub"), From(("HF_HOME", "~/h")).CacheFolder);
        Assert.Equal("/c", From(("HF_HOME", "/h"), ("HF_HUB_CACHE", "/c")).CacheFolder);
        Assert.Equal("/c", From(("HUGGINGFACE_HUB_CACHE", "/c")).CacheFolder);
        Assert.Equal("/a", From(("HF_ASSETS_CACHE", "/a")).AssetsFolder);
        var set = From(
            ("HF_ENDPOINT", "https://mirror.example/hf/"),
            ("HF_TOKEN", " hf_x\n"),
            ("HF_HUB_OFFLINE", "1"),
            ("HF_HUB_DISABLE_SYMLINKS", "true"),
            ("CHATTERBOX_PYPI", "http://pypi.local")
        );
        Assert.Equal(
            ("https://mirror.example/hf", "hf_x", true, false, "http://pypi.local/"),
            (set.Endpoint.AbsoluteUri, set.Token, set.Offline, set.UseSymlinks, set.PackageIndex.AbsoluteUri)
        );
        Assert.Contains(
            "HF_ENDPOINT is 'nonsense'",
            Assert.Throws<UnavailableException>(() => From(("HF_ENDPOINT", "nonsense"))).Message,
            StringComparison.Ordinal
        );
        Assert.False(From(("HF_HUB_OFFLINE", "0")).Offline);
    }

    [Fact]
    public void The_published_models_are_pinned_by_size_and_hash()
    {
        HubModel[] models = [HubModel.English, HubModel.MultilingualV2, HubModel.MultilingualV3, HubModel.Turbo, HubModel.Nano];
        Assert.All(
            models,
            model =>
            {
                Assert.Matches("^[0-9a-f]{40}$", model.Revision);
                Assert.All(model.Files, file => Assert.Matches("^[0-9a-f]{64}$", file.Sha256));
                Assert.All(model.Files, file => Assert.True(file.Size > 0));
                Assert.Equal(model.Files.Count, model.Files.Select(f => f.Path).Distinct().Count());
            }
        );
        Assert.Equal(
            ["ve.safetensors", "t3_cfg.safetensors", "s3gen.safetensors", "tokenizer.json", "conds.pt"],
            HubModel.English.Files.Select(f => f.Path)
        );
        Assert.Equal(3_191_966_992, HubModel.English.Files.Sum(f => f.Size!.Value));
        Assert.All(HubModel.English.At("main").Files, file => Assert.Null(file.Sha256));
    }

    [Fact]
    public void Flash_is_pinned_to_a_commit_whose_hashes_the_hub_knows()
    {
        Assert.Matches("^[0-9a-f]{40}$", HubModel.Flash.Revision);
        Assert.Equal(
            ["ve.safetensors", "t3_flash.safetensors", "s3gen.safetensors", "tokenizer.json"],
            HubModel.Flash.Files.Select(file => file.Path)
        );
        Assert.Equal(HubModel.English.Files.Single(file => file.Path == "tokenizer.json"), HubModel.Flash.Files[^1]);
    }

    private ModelHubOptions Elsewhere => _options with { CacheFolder = Path.Combine(_folder, "elsewhere") };

    private async Task<string> Download(
        HubModel model,
        ModelHubOptions? options = null,
        IProgress<DownloadProgress>? progress = null,
        CancellationToken? cancellationToken = null
    )
    {
        using var hub = new ModelHub(options ?? _options);
        return await hub.DownloadAsync(model, progress, cancellationToken ?? TestContext.Current.CancellationToken);
    }

    private void AssertWhole(string folder)
    {
        Assert.All(
            _hub.Files,
            file => Assert.Equal(FakeHub.Sha256(file.Value), FakeHub.Sha256(File.ReadAllBytes(Path.Combine(folder, file.Key))))
        );
        Assert.DoesNotContain(
            Directory.GetFiles(_folder, "*", SearchOption.AllDirectories),
            path => Regex.IsMatch(path, "incomplete|tmp$")
        );
    }

    private static void Write(string path, byte[] content)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, content);
    }

    /// <summary>Keeps reports in the order in which they were made; Progress would not.</summary>
    private sealed class Reports : IProgress<DownloadProgress>
    {
        public List<DownloadProgress> All { get; } = [];

        public void Report(DownloadProgress value) => All.Add(value);
    }

    /// <summary>Notes the waits that are asked for, and ends each at once.</summary>
    private sealed class TimeWithoutWaits : TimeProvider
    {
        public ConcurrentQueue<TimeSpan> Waits { get; } = new();

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            Waits.Enqueue(dueTime);
            return base.CreateTimer(callback, state, TimeSpan.Zero, period);
        }
    }
}
