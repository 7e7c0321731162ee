"""Works named in the methods text, by a short key."""

from __future__ import annotations

REFERENCES = {
    "abraham2014": "Abraham A et al. Machine learning for neuroimaging with scikit-learn. Front "
    "Neuroinform 2014;8:14. "
    "doi:10.3389/fninf.2014.00014.",
    "afyouni2019": "Afyouni S, Smith SM, Nichols TE. Effective degrees of freedom of the Pearson's "
    "correlation coefficient under autocorrelation. NeuroImage 2019;199:609-625. "
    "doi:10.1016/j.neuroimage.2019.05.011.",
    "alexander2001": "Alexander DC et al. Spatial transformations of diffusion tensor magnetic "
    "resonance images. IEEE Trans Med Imaging 2001;20:1131-1139.",
    "andersson2003": "Andersson JLR, Skare S, Ashburner J. How to correct susceptibility "
    "distortions in spin-echo echo-planar images. NeuroImage 2003;20:870-888. "
    "doi:10.1016/S1053-8119(03)00336-7.",
    "andersson2016": "Andersson JLR et al. Incorporating outlier detection and replacement into a "
    "non-parametric framework for movement and distortion correction of diffusion MR images. "
    "NeuroImage 2016;141:556-572. doi:10.1016/j.neuroimage.2016.06.058.",
    "avants2008": "Avants BB et al. Symmetric diffeomorphic image registration with "
    "cross-correlation. Med Image Anal 2008;12:26-41. "
    "doi:10.1016/j.media.2007.06.004.",
    "basser1994": "Basser PJ, Mattiello J, LeBihan D. MR diffusion tensor spectroscopy and "
    "imaging. Biophys J 1994;66:259-267. "
    "doi:10.1016/S0006-3495(94)80775-1.",
    "behzadi2007": "Behzadi Y et al. A component based noise correction method (CompCor) for BOLD "
    "and perfusion based fMRI. NeuroImage 2007;37:90-101. "
    "doi:10.1016/j.neuroimage.2007.04.042.",
    "benjamini1995": "Benjamini Y, Hochberg Y. Controlling the false discovery rate. J R Stat Soc "
    "B 1995;57:289-300. "
    "doi:10.1111/j.2517-6161.1995.tb02031.x.",
    "cieslak2021": "Cieslak M et al. QSIPrep: an integrative platform for preprocessing and "
    "reconstructing diffusion MRI data. Nat Methods 2021;18:775-778. "
    "doi:10.1038/s41592-021-01185-5.",
    "dosenbach2010": "Dosenbach NUF et al. Prediction of individual brain maturity using fMRI. "
    "Science 2010;329:1358-1361. "
    "doi:10.1126/science.1194144.",
    "esteban2019": "Esteban O et al. fMRIPrep: a robust preprocessing pipeline for functional MRI. "
    "Nat Methods 2019;16:111-116. "
    "doi:10.1038/s41592-018-0235-4.",
    "garyfallidis2014": "Garyfallidis E et al. Dipy, a library for the analysis of diffusion MRI "
    "data. Front Neuroinform 2014;8:8. "
    "doi:10.3389/fninf.2014.00008.",
    "greve2009": "Greve DN, Fischl B. Accurate and robust brain image alignment using "
    "boundary-based registration. NeuroImage 2009;48:63-72. "
    "doi:10.1016/j.neuroimage.2009.06.060.",
    "henriques2017": "Neto Henriques R et al. [Re] Optimization of a free water elimination "
    "two-compartment model for diffusion tensor imaging. ReScience 2017;3(1):2. "
    "doi:10.5281/zenodo.495237.",
    "holm1979": "Holm S. A simple sequentially rejective multiple test procedure. Scand J Stat "
    "1979;6:65-70.",
    "hoy2014": "Hoy AR et al. Optimization of a free water elimination two-compartment model for "
    "diffusion tensor imaging. NeuroImage 2014;103:323-333. "
    "doi:10.1016/j.neuroimage.2014.09.053.",
    "jensen2005": "Jensen JH et al. Diffusional kurtosis imaging: the quantification of "
    "non-gaussian water diffusion by means of magnetic resonance imaging. Magn Reson Med "
    "2005;53:1432-1440. doi:10.1002/mrm.20508.",
    "kellner2016": "Kellner E et al. Gibbs-ringing artifact removal based on local "
    "subvoxel-shifts. Magn Reson Med 2016;76:1574-1581. "
    "doi:10.1002/mrm.26054.",
    "leemans2009": "Leemans A, Jones DK. The B-matrix must be rotated when correcting for subject "
    "motion in DTI data. Magn Reson Med 2009;61:1336-1349. "
    "doi:10.1002/mrm.21890.",
    "lowekamp2013": "Lowekamp BC et al. The design of SimpleITK. Front Neuroinform 2013;7:45. "
    "doi:10.3389/fninf.2013.00045.",
    "molder2021": "Mölder F et al. Sustainable data analysis with Snakemake. F1000Research "
    "2021;10:33. "
    "doi:10.12688/f1000research.29032.2.",
    "power2012": "Power JD et al. Spurious but systematic correlations in functional connectivity "
    "MRI networks arise from subject motion. NeuroImage 2012;59:2142-2154. "
    "doi:10.1016/j.neuroimage.2011.10.018.",
    "reuter2012": "Reuter M et al. Within-subject template estimation for unbiased longitudinal "
    "image analysis. NeuroImage 2012;61:1402-1418. "
    "doi:10.1016/j.neuroimage.2012.02.084.",
    "tustison2010": "Tustison NJ et al. N4ITK: improved N3 bias correction. IEEE Trans Med Imaging "
    "2010;29:1310-1320. "
    "doi:10.1109/TMI.2010.2046908.",
    "varoquaux2010": "Varoquaux G et al. Detection of brain functional-connectivity difference in "
    "post-stroke patients using group-level covariance modeling. MICCAI 2010:200-208. "
    "doi:10.1007/978-3-642-15705-9_25.",
    "veenith2013": "Veenith TV et al. Inter subject variability and reproducibility of diffusion "
    "tensor imaging within and between different imaging sessions. PLoS One 2013;8:e65941.",
    "veraart2016": "Veraart J et al. Denoising of diffusion MRI using random matrix theory. "
    "NeuroImage 2016;142:394-406. "
    "doi:10.1016/j.neuroimage.2016.08.016.",
    "westfall1993": "Westfall PH, Young SS. Resampling-based multiple testing. Wiley 1993.",
    "vercauteren2009": "Vercauteren T et al. Diffeomorphic demons: efficient non-parametric image "
    "registration. NeuroImage 2009;45:S61-S72.",
    "whitcher2008": "Whitcher B et al. Using the wild bootstrap to quantify uncertainty in "
    "diffusion tensor imaging. Hum Brain Mapp 2008;29:346-362. "
    "doi:10.1002/hbm.20395.",
    "winkler2014": "Winkler AM et al. Permutation inference for the general linear model. "
    "NeuroImage 2014;92:381-397. "
    "doi:10.1016/j.neuroimage.2014.01.060.",
    "zalesky2010": "Zalesky A, Fornito A, Bullmore ET. Network-based statistic. NeuroImage "
    "2010;53:1197-1207. "
    "doi:10.1016/j.neuroimage.2010.06.041.",
}
