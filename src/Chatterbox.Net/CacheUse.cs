namespace Chatterbox;

/// <summary>How much of the memory for keys and values is in use.</summary>
/// <param name="Used">Blocks in use.</param>
/// <param name="Total">All blocks.</param>
public readonly record struct CacheUse(int Used, int Total);
