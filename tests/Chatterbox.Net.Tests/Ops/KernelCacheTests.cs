using Chatterbox.Ops.Cuda;

namespace Chatterbox.Tests.Ops;

/// <summary>Compiled kernels on disk: used again where they are whole and of the same source, and never in the way.</summary>
public sealed class KernelCacheTests : IDisposable
{
    private static readonly string[] Parts = ["13.0", "noise.cu", "the source", "--gpu-architecture=sm_90a"];

    private readonly string _folder = Path.Combine(Directory.CreateTempSubdirectory("kernels-").FullName, "of", "this");
    private int _compiled;

    [Fact]
    public void What_one_process_compiled_the_next_reads()
    {
        Assert.Equal([1, 2, 3], Get(_folder, Parts));
        Assert.Equal([1, 2, 3], Get(_folder, Parts));
        Assert.Equal(1, _compiled);
        Assert.Single(Directory.GetFiles(_folder));
    }

    [Fact]
    public void Another_source_option_or_compiler_is_another_kernel()
    {
        Get(_folder, Parts);
        for (var i = 0; i < Parts.Length; i++)
        {
            string[] others = [.. Parts];
            others[i] += "x";
            Get(_folder, others);
        }

        Get(_folder, ["13.0noise.cu", "", .. Parts[2..]]); // what is cut elsewhere is not the same
        Assert.Equal(2 + Parts.Length, _compiled);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(10)]
    [InlineData(34)]
    public void A_file_that_was_cut_off_is_compiled_and_written_anew(int length)
    {
        Get(_folder, Parts);
        var file = Directory.GetFiles(_folder).Single();
        File.WriteAllBytes(file, File.ReadAllBytes(file)[..length]);
        Assert.Equal([1, 2, 3], Get(_folder, Parts));
        Assert.Equal([1, 2, 3], Get(_folder, Parts));
        Assert.Equal(2, _compiled);
    }

    [Fact]
    public void A_damaged_file_is_compiled_and_written_anew()
    {
        Get(_folder, Parts);
        var file = Directory.GetFiles(_folder).Single();
        var bytes = File.ReadAllBytes(file);
        bytes[^1] ^= 1;
        File.WriteAllBytes(file, bytes);
        Assert.Equal([1, 2, 3], Get(_folder, Parts));
        Assert.Equal([1, 2, 3], Get(_folder, Parts));
        Assert.Equal(2, _compiled);
    }

    [Fact]
    public void Where_nothing_can_be_written_each_process_compiles()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_folder)!);
        File.WriteAllText(_folder, "a file where the folder would be");
        Assert.Equal([1, 2, 3], Get(_folder, Parts));
        Assert.Equal([1, 2, 3], Get(_folder, Parts));
        Assert.Equal(2, _compiled);
    }

    [Fact]
    public void A_compiler_s_error_leaves_no_file()
    {
        Assert.Throws<CudaException>(() => new KernelCache(_folder).Get(Parts, () => throw new CudaException("does not compile")));
        Assert.Equal([1, 2, 3], Get(_folder, Parts));
    }

    [Fact]
    public void The_environment_chooses_the_folder()
    {
        Assert.Equal("/kernels", KernelCache.FolderOf(" /kernels "));
        Assert.Null(KernelCache.FolderOf("off"));
        Assert.EndsWith(Path.Combine("chatterbox-net", "kernels"), KernelCache.FolderOf(null));
        Assert.Equal([1, 2, 3], Get(null, Parts));
    }

    public void Dispose()
    {
        var root = Path.GetDirectoryName(Path.GetDirectoryName(_folder)!)!;
        Directory.Delete(root, recursive: true);
    }

    private byte[] Get(string? folder, string[] parts) =>
        new KernelCache(folder).Get(
            parts,
            () =>
            {
                _compiled++;
                return [1, 2, 3];
            }
        );
}
