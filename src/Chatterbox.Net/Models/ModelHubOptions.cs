namespace Chatterbox.Models;

/// <summary>Where models are downloaded from and kept, and how hard is tried.</summary>
public sealed record ModelHubOptions
{
    /// <summary>Base address of the hub or of a mirror. HF_ENDPOINT.</summary>
    public Uri Endpoint { get; init; } = new("https://huggingface.co");

    /// <summary>The hub's cache, shared with Python programs. HF_HUB_CACHE, else HF_HOME/hub.</summary>
    public required string CacheFolder { get; init; }

    /// <summary>Where the hub's cache has room for other programs' downloads: PerTh's weights are kept below. HF_ASSETS_CACHE, else
    /// HF_HOME/assets.</summary>
    public required string AssetsFolder { get; init; }

    /// <summary>Access token for gated and private models; sent to <see cref="Endpoint"/> alone. HF_TOKEN.</summary>
    public string? Token { get; init; }

    /// <summary>Uses what is in the cache and asks no server. HF_HUB_OFFLINE.</summary>
    public bool Offline { get; init; }

    /// <summary>Links snapshots to the files of the cache, as far as the system allows, instead of keeping the files there. Not
    /// HF_HUB_DISABLE_SYMLINKS.</summary>
    public bool UseSymlinks { get; init; } = true;

    /// <summary>Base address of the Python package index or of a mirror, which holds PerTh's weights. CHATTERBOX_PYPI.</summary>
    public Uri PackageIndex { get; init; } = new("https://pypi.org");

    /// <summary>Parts of a large file that are downloaded at the same time.</summary>
    public int Connections { get; init; } = 4;

    /// <summary>Bytes of a part. An interrupted download continues from the last finished parts.</summary>
    public long PartBytes { get; init; } = 32 << 20;

    /// <summary>Tries after a first failed one, counted anew whenever bytes have arrived.</summary>
    public int Retries { get; init; } = 5;

    /// <summary>Wait before the first further try; doubled with each.</summary>
    public TimeSpan RetryDelay { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>The longest wait that a server may ask for before the download fails.</summary>
    public TimeSpan LongestWait { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>A connection that receives nothing for so long is closed and opened again.</summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Bytes free on the disk that holds a folder; replaced where a full disk is to be imitated.</summary>
    internal Func<string, long> FreeBytes { get; init; } = BytesFreeAt;

    /// <summary>What waits are measured by; replaced where a test must not wait.</summary>
    internal TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>The hub's own settings, from the environment variables that its Python library reads.</summary>
    /// <exception cref="UnavailableException">A variable has a value that cannot be used.</exception>
    public static ModelHubOptions FromEnvironment() => FromEnvironment(Environment.GetEnvironmentVariable);

    internal static ModelHubOptions FromEnvironment(Func<string, string?> variable)
    {
        string? Text(string name) => variable(name) is { Length: > 0 } value ? value.Trim() : null;
        bool Flag(string name) => Text(name)?.ToUpperInvariant() is "1" or "ON" or "YES" or "TRUE";
        string? Folder(string name) =>
            Text(name) is { } path
                ? Path.GetFullPath(path is "~" || path.StartsWith("~/", StringComparison.Ordinal) ? Home + path[1..] : path)
                : null;
        Uri Address(string name, string otherwise) =>
            Uri.TryCreate((Text(name) ?? otherwise).TrimEnd('/'), UriKind.Absolute, out var address) && address.Scheme is "http" or "https"
                ? address
                : throw new UnavailableException(
                    $"{name} is '{Text(name)}', expected an address such as {otherwise}. Correct or unset it."
                );

        var home = Folder("HF_HOME") ?? Path.Combine(Folder("XDG_CACHE_HOME") ?? Path.Combine(Home, ".cache"), "huggingface");
        return new ModelHubOptions
        {
            Endpoint = Address("HF_ENDPOINT", "https://huggingface.co"),
            CacheFolder = Folder("HF_HUB_CACHE") ?? Folder("HUGGINGFACE_HUB_CACHE") ?? Path.Combine(home, "hub"),
            AssetsFolder = Folder("HF_ASSETS_CACHE") ?? Path.Combine(home, "assets"),
            Token = Text("HF_TOKEN"),
            Offline = Flag("HF_HUB_OFFLINE"),
            UseSymlinks = !Flag("HF_HUB_DISABLE_SYMLINKS"),
            PackageIndex = Address("CHATTERBOX_PYPI", "https://pypi.org"),
        };
    }

    private static long BytesFreeAt(string folder)
    {
        try
        {
            return new DriveInfo(folder).AvailableFreeSpace;
        }
        catch (ArgumentException)
        {
            return long.MaxValue; // a Windows network share has no drive to ask
        }
    }

    private static string Home => Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
}
